"""The TypeScript client as a package that is installed, built and run."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

__all__ = ["DEADLINE_S", "SOURCE", "Package", "build"]

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "clients" / "typescript"
DEADLINE_S = 60
"""How long a program is waited for that takes a second."""


def _script(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"scripts_{name}", ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


NODE = _script("node")


@dataclass(frozen=True)
class Package:
    """A copy of the package, built.

    Attributes:
        folder: Where it is.
        node: A node that has a WebSocket.
    """

    folder: Path
    node: Path

    def run(self, *command: str | Path, cwd: Path | None = None) -> str:
        """What a program of node prints; fails if it fails."""
        done = subprocess.run(
            [self.node, *command], cwd=cwd or self.folder, capture_output=True, text=True, timeout=DEADLINE_S
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    def compile(self, folder: Path) -> None:
        """Check the TypeScript of a folder with the strictest settings."""
        self.run(self.folder / "node_modules" / "typescript" / "bin" / "tsc", "--noEmit", "-p", folder)


def _installed() -> Path:
    """The dependencies of the lock file, installed once outside of the tree."""
    inputs = [SOURCE / name for name in ("package.json", "package-lock.json", ".npmrc")]
    key = hashlib.sha256(b"\0".join(path.read_bytes() for path in inputs)).hexdigest()[:16]
    made: Path = NODE.cache() / f"typescript-{key}"
    npm = NODE.npm()
    with NODE.alone(made):
        if not (made / ".ready").is_file():
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir(parents=True)
            for path in inputs:
                shutil.copy(path, made)
            command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(command, cwd=made, capture_output=True, text=True)
            if done.returncode != 0:
                pytest.skip(f"npm ci failed: {(done.stderr.strip() or 'no message').splitlines()[-1]}")
            (made / ".ready").touch()
    return made / "node_modules"


def build(place: Path) -> Package:
    """A copy of the package in an empty directory, built; skips the test where node or npm is missing."""
    try:
        node, modules = NODE.find(), _installed()
    except NODE.NodeMissing as missing:
        pytest.skip(str(missing))
    folder = place / "clients" / "typescript"
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns("node_modules", "dist"))
    (folder / "node_modules").symlink_to(modules)
    (place / "tests").symlink_to(ROOT / "tests")  # for the golden frames
    built = Package(folder, node)
    built.run(modules / "typescript" / "bin" / "tsc", "-p", "tsconfig.build.json")
    return built
