"""The inheritable suite, run by pytest in a process of its own without plugins and here with all of them."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.unit.testing.bad_environments import Good, GoodAwaited, NeedsAnArgument, Roll
from tests.unit.testing.tool_environments import GoodTools

from openenv import ConfigurationError
from openenv.testing import ContractBroken, EnvironmentContract, Rule

ROOT = Path(__file__).resolve().parents[3]


class TestGood(EnvironmentContract):
    environment = Good


class TestAwaited(EnvironmentContract):
    environment = GoodAwaited
    steps = 5

    def make_action(self, rng: random.Random) -> Any:
        return Roll(sides=rng.randint(2, 20))


class TestTools(EnvironmentContract):
    environment = GoodTools
    steps = 20


class TestFactory(EnvironmentContract):
    environment = lambda: NeedsAnArgument(8000)  # noqa: E731 - as authors write it


def test_a_suite_without_an_environment_says_so() -> None:
    class Empty(EnvironmentContract):
        pass

    with pytest.raises(ConfigurationError, match="environment = MyEnvironment"):
        Empty().test_r01_it_can_be_built_and_called()


def test_a_suite_does_not_take_over_what_its_parent_found() -> None:
    class Parent(EnvironmentContract):
        environment = Good

    class Child(Parent):
        environment = GoodAwaited

    Parent().test_r01_it_can_be_built_and_called()
    with pytest.raises(pytest.skip.Exception, match="SUPPORTS_CONCURRENT_SESSIONS"):
        Child().test_r15_sessions_do_not_mix()


def test_an_action_is_drawn_unless_one_is_made() -> None:
    drawn = TestGood().make_action(random.Random(1))
    assert isinstance(drawn, dict)
    assert drawn.keys() == {"sides"}
    assert drawn["sides"] >= 1
    assert isinstance(TestAwaited().make_action(random.Random(1)), Roll)


def test_a_made_action_can_begin_with_a_drawn_one() -> None:
    class Suite(EnvironmentContract):
        environment = Good

        def make_action(self, rng: random.Random) -> Any:
            return {**super().make_action(rng), "sides": 8}

    assert Suite().make_action(random.Random(1)) == {"sides": 8}
    Suite().test_r12_actions_can_be_drawn()
    Suite().test_it_can_be_served_and_played()


def test_there_is_a_test_for_every_rule() -> None:
    tests = [name for name in vars(EnvironmentContract) if name.startswith("test_r")]
    assert [name.split("_")[1].upper() for name in tests] == [rule.name for rule in Rule]


def test_a_test_fails_for_its_rule_alone(tmp_path: Path) -> None:
    """Without plugins, as an author has it: the broken rule fails with its mend, all others pass."""
    (tmp_path / "test_mine.py").write_text(
        "from openenv.testing import EnvironmentContract\n"
        "from tests.unit.testing.bad_environments import OwnEpisodeId\n"
        "class TestMine(EnvironmentContract):\n"
        "    environment = OwnEpisodeId\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": path}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.returncode == 1, run.stdout + run.stderr
    assert "1 failed, 16 passed" in run.stdout
    assert "test_r06_the_state_has_the_episode_id" in run.stdout
    assert Rule.R06.mend in run.stdout


def test_importing_it_loads_neither_pytest_nor_a_server() -> None:
    code = (
        "import sys, openenv.testing as t; t.check_env; t.Rule;"
        "print(sorted({'pytest', 'uvicorn', 'fastapi', 'websockets'} & set(sys.modules)));"
        "t.EnvironmentContract; t.serving; print('pytest' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.split("\n")[:2] == ["[]", "False"]


def test_a_rule_is_held_alone() -> None:
    from tests.unit.testing.bad_environments import NoDescription

    class Suite(EnvironmentContract):
        environment = NoDescription

    Suite().test_r02_reset_returns_the_declared_type()
    with pytest.raises(ContractBroken, match="R16"):
        Suite().test_r16_it_describes_itself()


def test_no_name_is_hidden_by_a_module_of_its_name() -> None:
    code = (
        "import importlib, pkgutil, types, openenv.testing as t;"
        "[importlib.import_module(f'openenv.testing.{m.name}') for m in pkgutil.iter_modules(t.__path__)];"
        "print([name for name in t.__all__ if isinstance(getattr(t, name), types.ModuleType)])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
