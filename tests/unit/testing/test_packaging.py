"""The rules of packages, held against packages that are written for the purpose."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from openenv.testing import ContractBroken, Rule, check_env

MODULE = """
from openenv import Environment, EnvClient, Observation, State, Action
from tests.unit.testing.bad_environments import Good

class Packaged(Good):
    pass

app = Packaged
other = 7
"""
CLIENT = """
from openenv import EnvClient, Action
from tests.unit.testing.bad_environments import Good
from openenv.environment import EnvironmentPlan

plan = EnvironmentPlan.of(Good)

class Client(EnvClient):
    action_type = plan.action_type
    observation_type = plan.observation_type

class Another(EnvClient):
    action_type = Action
"""


@dataclass
class Package:
    """A package in a directory of its own, not yet imported.

    Attributes:
        name: Name of its module.
        root: Where it is.
    """

    name: str
    root: Path

    def manifest(self, text: str) -> None:
        (self.root / self.name / "openenv.yaml").write_text(text)

    def install(self, entry_points: str = "", version: str = "1.0") -> None:
        """What pip would leave behind."""
        info = self.root / f"{self.name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {self.name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(entry_points and f"[openenv.environments]\n{entry_points}\n")

    def check(self) -> tuple[dict[Rule, str], dict[Rule, str]]:
        """What is broken of the two rules, and what could not be told."""
        cls: Any = importlib.import_module(f"{self.name}.environment").Packaged
        try:
            report = check_env(cls, steps=2, episodes=1)
        except ContractBroken as broken:
            report = broken.report
        assert report.broken.keys() <= {Rule.R17, Rule.R18}
        return report.broken, {rule: why for rule, why in report.not_told.items() if rule in (Rule.R17, Rule.R18)}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    made = Package("packed_dice", tmp_path)
    (tmp_path / made.name).mkdir()
    (tmp_path / made.name / "__init__.py").touch()
    (tmp_path / made.name / "environment.py").write_text(MODULE)
    (tmp_path / made.name / "client.py").write_text(CLIENT)
    made.manifest("name: dice\napp: packed_dice.environment:app\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield made
    for name in [name for name in sys.modules if name.partition(".")[0] == made.name]:
        del sys.modules[name]


def test_a_good_package_keeps_both(package: Package) -> None:
    package.manifest("name: dice\napp: packed_dice.environment:app\nversion: '2.1'\n")
    package.install("dice = packed_dice.client:Client", "2.1")
    assert package.check() == ({}, {})


def test_the_app_may_be_named_from_the_packages_own_directory(package: Package) -> None:
    package.manifest("name: dice\napp: dice_app:app\n")
    (package.root / package.name / "dice_app.py").write_text("from packed_dice.environment import app\n")
    path = list(sys.path)
    try:
        assert package.check()[0] == {}
        assert sys.path == path, "what was looked at leaves nothing behind"
    finally:
        del sys.modules["dice_app"]


def test_names_are_compared_as_indexes_do(package: Package) -> None:
    package.manifest("name: The_Dice\napp: packed_dice.environment:app\n")
    package.install("the-dice = packed_dice.client:Client")
    assert package.check() == ({}, {})


def test_an_entry_point_may_name_the_module_alone(package: Package) -> None:
    package.install("dice = packed_dice")
    assert package.check() == ({}, {})


def test_of_what_is_not_installed_the_entry_point_is_not_told(package: Package) -> None:
    broken, not_told = package.check()
    assert broken == {}
    assert not_told == {Rule.R18: "the package packed_dice is not installed"}


def test_of_what_is_no_package_neither_is_told(package: Package) -> None:
    (package.root / package.name / "openenv.yaml").unlink()
    broken, not_told = package.check()
    assert broken == {}
    assert set(not_told) == {Rule.R17, Rule.R18}


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda p: p.manifest("name: dice\n"), "does not say what to serve"),
        (lambda p: p.manifest("name: [\n"), "is not valid YAML"),
        (lambda p: p.manifest("name: dice\napp: packed_dice.nowhere:app\n"), "packed_dice.nowhere"),
        (lambda p: p.manifest("name: dice\napp: packed_dice.environment:apps\n"), "apps"),
        (lambda p: p.manifest("name: dice\napp: packed_dice.environment:other\n"), "other"),
        (lambda p: p.manifest("name: dice\napp: packed_dice.environment:app\nversion: '3'\n"), "version 3, and the"),
        (lambda p: (p.root / p.name / "openenv.yaml").unlink(), "has no openenv.yaml in it"),
    ],
    ids=range(7),
)
def test_a_bad_manifest_is_told(package: Package, spoil: Callable[[Package], Any], says: str) -> None:
    package.install("dice = packed_dice.client:Client")
    spoil(package)
    broken, _ = package.check()
    assert set(broken) == {Rule.R17}
    assert says in broken[Rule.R17]


@pytest.mark.parametrize(
    ("entry_points", "says"),
    [
        ("", "the package packed_dice is installed, but has no entry point in openenv.environments"),
        ("cards = packed_dice.client:Client", "openenv.yaml says dice, and the entry point is called cards"),
        ("dice = packed_dice.nowhere:Client", "packed_dice.nowhere:Client cannot be loaded: ModuleNotFoundError"),
        ("dice = packed_dice.client:Nobody", "cannot be loaded: AttributeError"),
        ("dice = packed_dice.environment:Packaged", "packed_dice.environment:Packaged is no EnvClient class"),
        ("dice = packed_dice.client:Another", "has the action_type Action, the environment has Roll"),
    ],
    ids=range(6),
)
def test_a_bad_entry_point_is_told(package: Package, entry_points: str, says: str) -> None:
    package.install(entry_points)
    broken, _ = package.check()
    assert set(broken) == {Rule.R18}
    assert says in broken[Rule.R18]
