"""One sandbox with a terminal and a shell in it, driven from outside with a limit on every wait."""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from openenv.sandbox import SandboxedProcess
from openenv_terminal.server.emulator import Emulator
from openenv_terminal.server.frames import Frames, Lost
from openenv_terminal.server.setting import Setting

__all__ = ["Shell"]

_AT_ONCE_BYTES: Final = 32768  # shown as they come; programs may wait for answers of the terminal
_LAST_BYTES: Final = 32768  # of what comes beyond, the end is shown
_START_S: Final = 20.0
_GRACE_S: Final = 1.0
_SILENT_S: Final = 10.0
_PROMPT_QUIET_S: Final = 0.02
_LATE_PROMPT_S: Final = 0.2
_PASTE_ON, _PASTE_OFF = b"\x1b[?2004h", b"\x1b[?2004l"


class Shell:
    """A shell, or several in succession, and the files that they work on.

    Args:
        setting: The terminal and its sandbox.
        clock: Seconds that only grow.

    Raises:
        RuntimeFailure: The sandbox could not be set up.
    """

    def __init__(self, setting: Setting, clock: Callable[[], float] = time.monotonic) -> None:
        self._setting, self._clock = setting, clock
        self.emulator = Emulator(setting.rows, setting.columns, setting.scrollback)
        self.alive = False
        self.ended_here = False  # since the step began
        self.exit_status: int | None = None
        self.dropped_bytes = 0
        self.cwd = ""
        self._position = 0
        self._busy = False  # a command was given, and the prompt has not come back
        self._typed = False  # something may stand behind the prompt
        self._foreground = self._prompting = 0
        self._reports = self._asked = self._answered = 0
        self._silent_s = 0.0
        self._paste, self._paste_tail = False, b""
        self._shown, self._last = 0, deque[bytes]()
        self._script_code: int | None = None
        self._last_output = self._last_report = 0.0
        self._archive_end: str | None = None
        self._archive_fd = -1
        self._process, self._frames = self._spawn()

    def _spawn(self) -> tuple[SandboxedProcess, Frames]:
        theirs_in, ours_out = os.pipe2(os.O_CLOEXEC)
        ours_in, theirs_out = os.pipe2(os.O_CLOEXEC)
        try:
            process = self._setting.start(["shell"], theirs_in, theirs_out)
        except BaseException:
            os.close(ours_in)
            os.close(ours_out)
            raise
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        return process, Frames(ours_in, ours_out)

    @property
    def running(self) -> bool:
        """Whether something other than the prompt has the terminal, as of the last look."""
        elsewhere = self._foreground > 0 and self._prompting > 0 and self._foreground != self._prompting
        return self.alive and (self._busy or elsewhere)

    @property
    def home(self) -> str:
        """Path of the working directory inside."""
        return self._process.workdir

    def begin(self) -> None:
        """Begin a step: what is shown from here on is new."""
        self._position = self.emulator.position()
        self._shown, self.dropped_bytes, self.ended_here = 0, 0, False

    def output(self) -> str:
        """What is new since the step began."""
        return self.emulator.since(self._position)

    def start(self) -> bool:
        """Start a shell and wait for its prompt; whether it came.

        Raises:
            Lost: The sandbox is gone.
        """
        self.emulator.begin_line()
        self._frames.send(b"S", json.dumps(self._setting.shell(self.home)).encode())
        self.alive, self._busy, self._typed, self._paste = True, True, False, False
        self.exit_status, self._foreground, self._prompting = None, 0, 0
        self._until(self._at_prompt, self._clock() + _START_S)
        self.look()
        self.exit_status = None  # no command was given yet
        return self.alive and not self._busy

    def script(self, script: str, limit_s: float) -> int | None:
        """Run a script to its end, unseen; its exit code, or ``None`` if it took too long.

        Raises:
            Lost: The sandbox is gone.
        """
        self._script_code = None
        self._frames.send(b"R", json.dumps(self._setting.script(self.home, script)).encode())
        self._until(lambda: self._script_code is not None, self._clock() + limit_s)
        return self._script_code

    def look(self, limit_s: float = _GRACE_S) -> None:
        """Take in what has happened up to now.

        Raises:
            Lost: The sandbox is gone, or has not answered for too long.
        """
        self._asked += 1
        began, wanted = self._clock(), self._asked
        self._frames.send(b"Q", str(wanted).encode())
        if self._until(lambda: self._answered >= wanted, began + limit_s):
            self._silent_s = 0.0
        else:
            self._silent_s += self._clock() - began
            if self._silent_s > _SILENT_S:
                raise Lost("the program in the sandbox does not answer")
        self._show_last()

    def run(self, command: str, limit_s: float) -> None:
        """Give the shell, which is at its prompt, a command, and wait for its end or the limit."""
        discard = (b"\x05\x15" if self._setting.bash else b"\x15") if self._typed else b""
        if "\n" in command:  # one command, however many lines it has: one exit status, one prompt
            command = "eval '" + command.replace("'", "'\\''") + "'"
        line = command.encode()
        if self._paste:
            line = b"\x1b[200~" + line + b"\x1b[201~"
        self.exit_status, self._busy, self._typed = None, True, False
        self._frames.send(b"I", discard + line + b"\r")
        self._wait_for_prompt(limit_s)

    def type(self, keys: bytes) -> None:
        """Type keys."""
        self._typed = True
        if not self.running and any(key in keys for key in b"\r\n\x0f"):
            self.exit_status, self._busy = None, True
        self._frames.send(b"I", keys)

    def wait(self, limit_s: float, quiet_s: float | None) -> None:
        """Wait until the prompt comes back, output was quiet for so long (``None``: however long), or the limit."""
        was_busy = self.running
        deadline, began = self._clock() + limit_s, self._clock()

        def over() -> bool:
            if not self.alive or (was_busy and self._at_prompt()):
                return True
            return quiet_s is not None and self._clock() - max(self._last_output, began) >= quiet_s

        self._until(over, deadline, step_s=_PROMPT_QUIET_S)

    def kill_all(self) -> None:
        """Kill everything in the sandbox but what keeps it; only where the setting says that it can be.

        Raises:
            Lost: The sandbox is gone, or does not answer.
        """
        assert self._setting.has_own_processes, "outside of a sandbox this would kill everything of this user's"
        self._frames.send(b"K")
        if self.alive and not self._until(lambda: not self.alive, self._clock() + _SILENT_S):
            raise Lost("the shell does not die")

    def archive(self, descriptor: int, most_bytes: int, limit_s: float) -> str:
        """Write a tar archive of the files to a descriptor; empty, or what went wrong.

        Raises:
            Lost: The sandbox is gone.
        """
        self._archive_end, self._archive_fd, self._archive_left = None, descriptor, most_bytes
        self._frames.send(b"T", str(most_bytes).encode())
        done = self._until(lambda: self._archive_end is not None, self._clock() + limit_s)
        self._archive_fd = -1
        return self._archive_end or "" if done else "reading the files takes too long"

    def close(self) -> None:
        """End the sandbox and everything in it; safe to call twice."""
        self._frames.close()
        self._process.kill()
        self.alive = False

    def _wait_for_prompt(self, limit_s: float) -> None:
        self._until(lambda: not self.alive or self._at_prompt(), self._clock() + limit_s, step_s=_PROMPT_QUIET_S)

    def _at_prompt(self) -> bool:
        """Whether the shell has reported and shown its prompt."""
        if self._busy:
            return not self.alive
        quiet = self._clock() - max(self._last_output, self._last_report)
        return quiet >= (_PROMPT_QUIET_S if self.emulator.cursor()[1] else _LATE_PROMPT_S)

    def _until(self, done: Callable[[], bool], deadline: float, step_s: float = _PROMPT_QUIET_S) -> bool:
        """Take frames until it is done; whether it was before the deadline."""
        while not done():
            left = deadline - self._clock()
            if left <= 0:
                return False
            for kind, payload in self._frames.exchange(min(left, step_s)):
                self._take(kind, payload)
        return True

    def _take(self, kind: bytes, payload: bytes) -> None:
        if kind == b"o":
            self._take_output(payload)
        elif kind == b"t":
            if self._archive_fd >= 0 and len(payload) <= self._archive_left:
                self._archive_left -= len(payload)
                os.write(self._archive_fd, payload)
        elif kind == b"e":
            self._archive_end = payload.decode(errors="replace")
        else:
            try:
                self._take_news(kind, payload)
            except (ValueError, KeyError, TypeError) as error:
                raise Lost("the program in the sandbox does not speak as it should") from error

    def _take_news(self, kind: bytes, payload: bytes) -> None:
        if kind == b"s":
            status, pid = payload.split()
            self.exit_status, self._prompting = int(status) & 255, int(pid)
            self._busy = self._typed = False
            self._last_report = self._clock()
        elif kind == b"x":
            self.exit_status = int(json.loads(payload)["code"]) & 255
            self.alive, self.ended_here, self._busy = False, True, False
        elif kind == b"r":
            self._script_code = int(payload)
        elif kind == b"a":
            answer = json.loads(payload)
            self._answered = int(answer["id"])
            self._foreground = int(answer["foreground"])
            self.cwd = str(answer["cwd"]).removesuffix(" (deleted)")[:4096]

    def _take_output(self, piece: bytes) -> None:
        self._last_output = self._clock()
        seen = self._paste_tail + piece
        on, off = seen.rfind(_PASTE_ON), seen.rfind(_PASTE_OFF)
        if on != off:
            self._paste = on > off
        self._paste_tail = seen[-len(_PASTE_ON) + 1 :]
        if self._shown < _AT_ONCE_BYTES and not self._last:
            self._shown += len(piece)
            self._feed(piece)
            return
        self._last.append(piece)
        while sum(map(len, self._last)) - len(self._last[0]) >= _LAST_BYTES:
            self.dropped_bytes += len(self._last.popleft())

    def _show_last(self) -> None:
        if self.dropped_bytes and self._last:
            self.emulator.skip()
        while self._last:
            self._feed(self._last.popleft())

    def _feed(self, piece: bytes) -> None:
        replies = self.emulator.feed(piece)
        if replies:
            self._frames.send(b"I", replies)
