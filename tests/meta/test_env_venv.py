"""The script that makes the own virtual environments of environments, as far as that needs no network."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "env_venv.py"


@pytest.fixture
def script() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


def test_a_missing_compiler_is_one_line_with_its_remedy(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "reasoning_gym"],
        env={"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: gcc")
    assert "sudo apt install gcc" in line
    assert list(tmp_path.iterdir()) == []


def test_missing_headers_are_those_of_this_python(script: dict[str, Any]) -> None:
    script["SYSTEM"]["python3-dev"] = lambda: False
    script["SYSTEM"]["gcc"] = lambda: False
    version = ".".join(map(str, sys.version_info[:2]))
    with pytest.raises(script["MissingSystemPackages"], match=rf"sudo apt install gcc python{version}-dev$"):
        script["check_system"](["gcc", "python3-dev"])
    script["SYSTEM"]["gcc"] = lambda: True
    with pytest.raises(script["MissingSystemPackages"], match=r"^python3-dev missing"):
        script["check_system"](["gcc", "python3-dev"])
    script["check_system"](["gcc"])


def test_an_unknown_environment(script: dict[str, Any]) -> None:
    with pytest.raises(script["SetUpFailed"], match=r"no environment 'nothing'.*blackjack"):
        script["make"]("nothing")


def test_it_is_outside_of_the_tree_and_one_for_each(script: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/some/cache")
    places = [script["place"](name) for name in ("echo", "blackjack", "reasoning_gym")]
    assert {place.parent for place in places} == {Path("/some/cache/openenv/venvs")}
    assert len({place.name.rsplit("-", 1)[1] for place in places}) == 3
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert script["place"]("echo").is_relative_to("/home/me/.cache/openenv/venvs")
    assert places[0].name == script["place"]("echo").name
