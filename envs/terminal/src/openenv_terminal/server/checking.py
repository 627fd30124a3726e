"""Checking a task: its script runs in a sandbox of its own, on a copy of the files, out of the agent's reach."""

from __future__ import annotations

import os

from openenv_terminal.server.frames import Lost
from openenv_terminal.server.setting import Setting
from openenv_terminal.server.shell import Shell

__all__ = ["check"]

_ROOM_BYTES = 16 * 1024 * 1024  # what an archive takes beside the files
_READ_S = 20.0


def check(setting: Setting, shell: Shell, script: str, limit_s: float) -> tuple[bool, str]:
    """Whether the files of a shell's working directory pass, and why not if that is known.

    Everything that runs there is killed first where it can be. The script starts in the working directory, at the
    same path, and passes them with exit status 0.

    Args:
        setting: The sandbox to use.
        shell: Whose files are checked.
        script: Source of the script.
        limit_s: Seconds the script may take.
    """
    archive = os.memfd_create("files")
    try:
        if setting.has_own_processes:
            shell.kill_all()
        wrong = shell.archive(archive, setting.limits.disk_bytes + _ROOM_BYTES, _READ_S)
        if wrong:
            return False, wrong
        os.lseek(archive, 0, os.SEEK_SET)
        with setting.start(["check", *setting.script_argv(script)], archive, None) as process:
            ended = process.wait(limit_s)
    except Lost as lost:
        return False, str(lost)
    except TimeoutError:
        return False, f"the check takes longer than {limit_s:g} s"
    finally:
        os.close(archive)
    return ended.exit_code == 0, "" if ended.exit_code == 0 else f"the check ended with exit status {ended.exit_code}"
