"""Who follows the tutorial word for word ends with a served environment of their own."""

from __future__ import annotations

import json
import sysconfig
import urllib.request
import venv
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from tests.docs.snippets import ROOT, Reader

TUTORIAL = ROOT / "docs" / "tutorial.md"


def installed_into(directory: Path) -> Path:
    """The tutorial's virtual environment, with what is installed here instead of a download; its commands."""
    venv.create(directory, with_pip=False, symlinks=True)
    commands = directory / "bin"
    packages = next((directory / "lib").glob("python*")) / "site-packages"
    homes = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    (packages / "here.pth").write_text("".join(f"import site; site.addsitedir({home!r})\n" for home in homes))
    for name in ("openenv", "pip", "pytest"):
        script = commands / name
        script.write_text(f'#!/bin/sh\nexec "{commands}/python" -m {name} "$@"\n')
        script.chmod(0o755)
    return commands


@pytest.mark.e2e
@pytest.mark.timeout(600)
def test_the_tutorial_can_be_followed(tmp_path: Path) -> None:
    try:
        distribution("openenv")
    except PackageNotFoundError:
        pytest.skip("openenv itself is not installed here, so no package that needs it can be; run: make test")
    start = tmp_path / "empty"
    start.mkdir()
    with Reader(start, bin=installed_into(tmp_path / "venv")) as reader:
        reader.follow(TUTORIAL)
        assert reader.directory == start / "mastermind-env"
        with urllib.request.urlopen(f"http://{reader.address}/metadata", timeout=30) as answer:
            told = json.load(answer)
    assert told["name"] == "MastermindEnvironment"
    assert "hidden code" in told["description"]
