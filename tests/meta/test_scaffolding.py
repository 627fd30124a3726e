"""Holds the lock to the requirements, and the set-up scripts to their promises."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements-dev.lock"
PYPROJECTS = [ROOT / "pyproject.toml", *sorted(ROOT.glob("envs/*/pyproject.toml"))]


def load(name: str) -> ModuleType:
    """A script of ``scripts/`` as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def asked_by(path: Path) -> list[Requirement]:
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    lines = [*content["project"].get("dependencies", []), *content["build-system"]["requires"]]
    # extras of environments are for virtual environments of their own
    extras = content["project"].get("optional-dependencies", {}) if path.parent == ROOT else {}
    for table in (extras, content.get("dependency-groups", {})):
        lines += [line for group in table.values() for line in group if isinstance(line, str)]
    return [one for one in map(Requirement, lines) if not one.name.startswith("openenv")]


def pins() -> list[Requirement]:
    lines = LOCK.read_text(encoding="utf-8").splitlines()
    return [Requirement(line.removesuffix("\\")) for line in lines if re.match(r"[a-z]", line)]


@pytest.mark.parametrize("path", PYPROJECTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_lock_holds_every_requirement(path: Path) -> None:
    versions: dict[str, list[str]] = {}
    for pin in pins():
        versions.setdefault(canonicalize_name(pin.name), []).append(str(pin.specifier).removeprefix("=="))
    asked = asked_by(path)
    assert asked
    for requirement in asked:
        found = versions.get(canonicalize_name(requirement.name), [])
        assert found, f"{requirement} is not in the lock; run make lock"
        assert all(requirement.specifier.contains(version) for version in found), f"{requirement}: run make lock"


def test_the_lock_fits_every_machine() -> None:
    text = LOCK.read_text(encoding="utf-8")
    assert "--hash=sha256:" in text
    assert not re.search(r"://|file:|--index|--find-links|--extra|(^|\s)/", text), (
        "the lock names a place of one machine"
    )
    for block in re.split(r"\n(?=[a-z])", text)[1:]:
        assert "--hash=" in block, f"no hash for {block.splitlines()[0]}"


def test_settings_of_pip_reach_uv() -> None:
    listing = (
        "global.index-url='https://one.example/simple'\n"
        "install.index-url='https://two.example/simple'\n"
        "global.find-links='\\n/wheels\\n/more'\n"
        "global.no-index='true'\n"
        "freeze.timeout='10'\n"
        ":env:.timeout='30'\n"
        "global.timeout='99'\n"
        "not a setting\n"
    )
    parsed = load("set_up").parse_pip_config(listing)
    assert parsed["index-url"] == "https://two.example/simple"
    assert parsed["find-links"].split() == ["/wheels", "/more"]
    assert parsed["timeout"] == "30"
    assert parsed["no-index"] == "true"
    assert set(parsed) == {"index-url", "find-links", "timeout", "no-index"}


def test_one_package_of_the_lock_comes_with_its_hashes() -> None:
    lines = load("set_up").pinned("uv").splitlines()
    assert lines[0].startswith("uv==")
    assert len(lines) > 1
    assert all(line.lstrip().startswith("--hash=sha256:") for line in lines[1:])


def check_system(tmp_path: Path, script: str | None) -> subprocess.CompletedProcess[str]:
    """``check_system.sh`` for a Python that behaves as the shell script says; ``None`` for none at all."""
    python = tmp_path / "python3"
    if script is not None:
        python.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        python.chmod(0o755)
    command = ["sh", str(ROOT / "scripts" / "check_system.sh"), str(python)]
    return subprocess.run(command, capture_output=True, text=True, env={"PATH": os.defpath}, check=False)


@pytest.mark.parametrize(
    ("script", "apt"),
    [
        (None, "sudo apt install python3 python3-venv"),
        ("exit 127", "--reinstall python3"),
        ('case "$2" in *sys.exit*) exit 1;; *print*) echo 3.9;; esac', "sudo apt install python3.11 python3.11-venv"),
        ('case "$2" in *ensurepip*) exit 1;; *print*) echo 3.11;; esac', "sudo apt install python3.11-venv"),
    ],
    ids=["missing", "broken", "old", "no-venv"],
)
def test_a_missing_system_package_is_one_line_with_its_remedy(tmp_path: Path, script: str | None, apt: str) -> None:
    done = check_system(tmp_path, script)
    assert done.returncode == 1
    assert not done.stdout
    assert len(done.stderr.splitlines()) == 1
    assert apt in done.stderr


def test_a_complete_system_passes_in_silence(tmp_path: Path) -> None:
    done = check_system(tmp_path, f'exec "{sys.executable}" "$@"')
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
