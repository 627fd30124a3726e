"""What all shells of one environment have in common, and how a program is started for them in the sandbox."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from openenv.sandbox import Level, Limits, Sandbox, SandboxedProcess, python_paths, system_paths

__all__ = ["Setting", "cover"]

_PACKAGE = Path(__file__).resolve().parents[1]
_WARDEN = (_PACKAGE / "server" / "warden.py").read_text(encoding="utf-8")
_BASH, _SH = "/bin/bash", "/bin/sh"
# Told by the shell itself at every prompt, on a descriptor of its own: its last exit status and process id.
_BASH_HOOK = '{ builtin printf \'%d %d\\0\' "$?" "$$" >&250; } 2>/dev/null'
_SH_PROMPT = '$(printf \'%d %d\\0\' "$?" "$$" >&9)$ '


@dataclass(frozen=True)
class Setting:
    """The terminal and the sandbox around it.

    Attributes:
        sandbox: Starts the programs.
        limits: What all programs of one sandbox may take.
        rows, columns: Size of the terminal in characters.
        scrollback: Lines kept of those that left the screen.
        bash: Whether there is a bash; else it is sh.
    """

    sandbox: Sandbox
    limits: Limits
    rows: int
    columns: int
    scrollback: int
    bash: bool = field(default_factory=lambda: os.path.exists(_BASH))

    @property
    def has_own_processes(self) -> bool:
        """Whether everything in the sandbox can be killed from inside without touching anything else."""
        return self.sandbox.level is not Level.RLIMITS

    def start(self, arguments: Sequence[str], stdin: int, stdout: int | None) -> SandboxedProcess:
        """Start the warden with these arguments; see ``warden`` for what it does with them."""
        python, paths = _python()
        return self.sandbox.spawn(
            [python, "-I", "-S", "-c", _WARDEN, *arguments],
            limits=self.limits,
            read_only={**paths, **cover(_PACKAGE, [*paths, *system_paths()])},
            stdin=stdin,
            stdout=stdout,
        )

    def environment(self, home: str) -> dict[str, str]:
        """Environment variables of the shell."""
        return {
            "HOME": home,
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "TERM": "linux",
            "HISTFILE": "",
            "USER": "agent",
            "SHELL": _BASH if self.bash else _SH,
        }

    def shell(self, home: str) -> dict[str, object]:
        """How the warden is to start the shell."""
        env = self.environment(home)
        if self.bash:
            argv = [_BASH, "--noprofile", "--norc", "+H", "-i"]
            env |= {"PS1": "\\w\\$ ", "PROMPT_COMMAND": _BASH_HOOK}
        else:
            argv = [_SH, "-i"]
            env |= {"PS1": _SH_PROMPT}
        # gVisor's terminals know no keys that send signals
        size = {"rows": self.rows, "columns": self.columns, "send_signals": self.sandbox.level is Level.GVISOR}
        return {"argv": argv, "env": env, "cwd": home, "report_fd": 250 if self.bash else 9, **size}

    def script(self, home: str, script: str) -> dict[str, object]:
        """How the warden is to run a script."""
        return {"argv": self.script_argv(script), "env": self.environment(home)}

    def script_argv(self, script: str) -> list[str]:
        """The program that runs a script."""
        return [_BASH if self.bash else _SH, "-c", script]


def _python() -> tuple[str, Mapping[str, str]]:
    """A Python to run in the sandbox, and what it needs to see: the bare installation, if it can be told."""
    bare = os.path.join(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    if os.path.exists(bare):
        return bare, python_paths(sys.base_prefix)
    return sys.executable, python_paths()


def cover(package: Path, shown: Sequence[str]) -> dict[str, str]:
    """A blank page over a package that holds the checks of tasks, where a program that is shown those paths sees it."""
    if any(package.is_relative_to(os.path.realpath(path)) for path in shown):
        return {str(_PACKAGE / "server" / "hidden"): str(package)}
    return {}
