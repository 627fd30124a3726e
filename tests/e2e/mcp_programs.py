"""Real MCP clients in pinned versions, each installed once outside of the tree, and what they see of the workshop."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from scripts import npm_tools
from scripts.node import alone, cache
from tests.e2e.packages import environment

__all__ = [
    "CALLS",
    "CLAUDE",
    "DEADLINE_S",
    "INSPECTOR",
    "OLDER",
    "PROGRAMS",
    "STATELESS",
    "Program",
    "Started",
    "python_with",
    "started",
]

HERE = Path(__file__).resolve().parent
DEADLINE_S = 60.0
"""How long a program is waited for that takes two seconds."""
OLDER, STATELESS = "2025-11-25", "2026-07-28"
CALLS = 6
"""How many tools a program calls."""


@dataclass(frozen=True)
class Program:
    """A program that plays the workshop with a library, and prints what it saw.

    Attributes:
        name: What it is called here.
        package: Where its library comes from, on PyPI or npm.
        version: Which version.
        file: The program.
        protocol: What it agrees on with a server that speaks everything.
    """

    name: str
    package: str
    version: str
    file: str
    protocol: str

    def command(self, place: Path) -> list[str | Path]:
        """What to run; an empty directory is given. Skips the test where it cannot be installed."""
        if self.file.endswith(".py"):
            return [python_with(f"{self.package}=={self.version}"), HERE / self.file]
        node, modules = _npm(self.package, self.version)
        (place / "node_modules").symlink_to(modules)
        program = place / self.file
        program.write_text((HERE / self.file).read_text(encoding="utf-8"), encoding="utf-8")
        return [node, program]


PROGRAMS = (
    Program("sdk1", "mcp", "1.30.0", "mcp_client_sdk1.py", OLDER),
    Program("sdk2", "mcp", "2.3.0", "mcp_client_sdk2.py", STATELESS),
    Program("fastmcp3", "fastmcp", "3.4.10", "mcp_client_fastmcp.py", OLDER),
    Program("fastmcp4", "fastmcp", "4.1.2", "mcp_client_fastmcp.py", STATELESS),
    Program("ts1", "@modelcontextprotocol/sdk", "1.32.2", "mcp_client_ts1.mjs", OLDER),
    Program("ts2", "@modelcontextprotocol/client", "2.4.0", "mcp_client_ts2.mjs", STATELESS),
)
INSPECTOR = ("@modelcontextprotocol/inspector", "2.12.0")
CLAUDE = ("@anthropic-ai/claude-code", "2.1.197")


def _npm(package: str, version: str) -> tuple[Path, Path]:
    """A node and the ``node_modules`` of a package."""
    try:
        return npm_tools.find(), npm_tools.installed({package: version})
    except npm_tools.NodeMissing as missing:
        pytest.skip(str(missing))


def inspector() -> list[str | Path]:
    """The command of the Inspector's CLI; skips the test where it cannot be installed."""
    node, modules = _npm(*INSPECTOR)
    return [node, modules / ".bin" / "mcp-inspector", "--cli"]


def claude() -> Path:
    """Claude Code; skips the test where it cannot be installed."""
    return _npm(*CLAUDE)[1] / ".bin" / "claude"


def claude_environment(home: Path) -> dict[str, str]:
    """Environment variables for Claude Code with a home of its own, which never calls home."""
    return {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(home),
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
    }


def python_with(requirement: str) -> Path:
    """The Python of a virtual environment that holds one library and nothing of ours; skips the test without one."""
    made = (
        cache()
        / f"mcp-{re.sub(r'[^a-z0-9.]+', '-', requirement)}-{hashlib.sha256(sys.version.encode()).hexdigest()[:8]}"
    )
    python = made / "bin" / "python"
    with alone(made):
        if not (made / ".ready").is_file():
            uv: list[str | Path] = [sys.executable, "-m", "uv"]
            for command in (
                [*uv, "venv", "--clear", "--python", sys.executable, made],
                [*uv, "pip", "install", "--python", python, requirement],
            ):
                done = subprocess.run(command, env=environment(), capture_output=True, text=True)
                if done.returncode != 0:
                    last = (done.stderr.strip() or "no message").splitlines()[-1]
                    pytest.skip(f"uv pip install {requirement} failed: {last}")
            (made / ".ready").touch()
    return python


@dataclass
class Started:
    """A program that runs."""

    process: subprocess.Popen[str]
    errors: Any

    def output(self) -> str:
        """What it printed; fails if it fails."""
        printed, _ = self.process.communicate(timeout=DEADLINE_S)
        self.errors.seek(0)
        assert self.process.returncode == 0, f"{printed}\n{self.errors.read()}"
        return printed

    def seen(self) -> dict[str, Any]:
        """What it saw."""
        found: dict[str, Any] = json.loads(self.output().splitlines()[-1])
        return found


@contextmanager
def started(
    command: Sequence[str | Path], env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Iterator[Started]:
    """Start a program that reads nothing; it is killed at the end should it still live."""
    clean = env or {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as errors,
        subprocess.Popen(
            command, env=clean, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        try:
            yield Started(process, errors)
        finally:
            process.kill()
