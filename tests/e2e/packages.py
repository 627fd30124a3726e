"""Packages that ``openenv init`` makes, installed as their authors would: into an environment of their own."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openenv import SyncEnvClient

Client = SyncEnvClient[Any, Any, Any]

ROOT = Path(__file__).resolve().parents[2]
NAME = "my-env"
REQUIRED = {"gym": (), "coding": ("envs/coding",), "tools": ()}
"""Packages of this repository that a template's package depends on, beside openenv itself."""


def run(*command: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None, timeout_s: float = 240.0) -> str:
    """What a command prints; fails with that, and what it complains of, if the command does."""
    done = subprocess.run(command, cwd=cwd, env=env or environment(), capture_output=True, text=True, timeout=timeout_s)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def environment() -> dict[str, str]:
    """Environment variables with which uv looks for packages where pip would, and no Python looks into this tree."""
    spec = importlib.util.spec_from_file_location("set_up", ROOT / "scripts" / "set_up.py")
    assert spec is not None
    assert spec.loader is not None
    set_up = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(set_up)
    found: dict[str, str] = set_up.uv_environment(set_up.pip_environment(), Path(sys.executable))
    return {name: value for name, value in found.items() if name not in ("PYTHONPATH", "PYTHONWARNINGS")}


def build_wheels(template: str, directory: Path) -> None:
    """Put the wheels of this tree that a template's package needs into a directory."""
    for source in (".", *REQUIRED[template]):
        run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", directory, cwd=ROOT / source)


RUN_LENGTHS = """
import itertools
def run_lengths(text):
    return [[character, len(list(run))] for character, run in itertools.groupby(text)]
"""


@dataclass(frozen=True)
class Installed:
    """A package that was made and installed.

    Attributes:
        template: What it began as.
        directory: Where its files are.
        wheels: Where the wheels of this tree are.
        scripts: Where the commands of its virtual environment are.
    """

    template: str
    directory: Path
    wheels: Path
    scripts: Path

    def run(self, command: str, *arguments: str | Path) -> str:
        """What a command of the virtual environment prints."""
        return run(self.scripts / command, *arguments, cwd=self.directory)


def install(template: str, where: Path) -> Installed:
    """Make a package with the ``openenv`` of a wheel, and install it with what its tests need."""
    wheels, venv = where / "wheels", where / "venv"
    build_wheels(template, wheels)
    pinned = where / "constraints.txt"  # the versions this repository is tested with
    lock = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8")
    lines = [line.removesuffix("\\").strip() for line in lock.splitlines() if re.match(r"[a-z]", line)]
    pinned.write_text("\n".join(lines), encoding="utf-8")
    run(sys.executable, "-m", "uv", "venv", "--python", sys.executable, venv)

    def pip_install(*packages: str | Path) -> None:
        options = ("--python", venv / "bin" / "python", "--find-links", wheels, "--constraint", pinned)
        run(sys.executable, "-m", "uv", "pip", "install", *options, *packages)

    pip_install("openenv")
    run(venv / "bin" / "openenv", "init", NAME, "--template", template, cwd=where)
    pip_install("-e", f"{where / NAME}[dev]")
    return Installed(template, where / NAME, wheels, venv / "bin")


def play_gym(client: Client) -> None:
    first = client.reset(seed=1, size=5, max_steps=3)
    assert [len(row) for row in first.observation["grid"]] == [5] * 5
    ends = [(result.reward, result.truncated) for result in (client.step({"move": "up"}) for _ in range(3))]
    assert ends == [(-0.01, False), (-0.01, False), (-0.01, True)]


def play_coding(client: Client) -> None:
    first = client.reset(seed=1, task="run_lengths")
    assert first.observation["prompt"].startswith("Write run_lengths(text)")
    wrong = client.step({"code": "def run_lengths(text):\n    return text"})
    assert wrong.reward is not None
    assert (wrong.reward < 0.5, wrong.done) == (True, False)
    assert "right is [[" in wrong.observation["mistake"]
    right = client.step({"code": RUN_LENGTHS})
    assert (right.reward, right.terminated, right.observation["mistake"]) == (1.0, True, "")


def play_tools(client: Client) -> None:
    first = client.reset(seed=1, lines=1)
    assert first.metadata["task"].startswith("Fill the order: ")
    called = client.step({"type": "call_tool", "tool_name": "pack_list", "arguments": {}})
    (line,) = called.observation["result"]["data"]["lines"]
    looked = client.step({"type": "call_tool", "tool_name": "look_up", "arguments": {"kind": line["kind"]}})
    assert looked.reward == -0.01
    products = looked.observation["result"]["structured_content"]["products"]
    best = min((one for one in products if one["stock"] >= line["wanted"]), key=lambda one: one["cents"])
    arguments = {"sku": best["sku"], "quantity": line["wanted"]}
    assert not client.step({"type": "call_tool", "tool_name": "pack", "arguments": arguments}).done
    shipped = client.step({"type": "call_tool", "tool_name": "ship", "arguments": {}})
    assert (shipped.reward, shipped.terminated, shipped.observation["error"]) == (1.0, True, None)


PLAYS: dict[str, Callable[[Client], None]] = {"gym": play_gym, "coding": play_coding, "tools": play_tools}
"""One episode to its end, for each template."""
