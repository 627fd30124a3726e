"""The environment: a shell in a sandboxed terminal behind reset, step and state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from openenv import ActionInvalid, ConfigurationError, Environment, RuntimeFailure
from openenv.sandbox import Level, Limits, choose
from openenv.types import EnvironmentMetadata
from openenv_terminal.keys import UnknownKey, key_bytes
from openenv_terminal.models import TerminalAction, TerminalObservation, TerminalState
from openenv_terminal.server.checking import check
from openenv_terminal.server.frames import Lost
from openenv_terminal.server.setting import Setting
from openenv_terminal.server.shell import Shell
from openenv_terminal.server.tasks import TASKS, Task, task_of

__all__ = ["TerminalEnvironment"]

_MOST_TEXT_BYTES: Final = 65536
_QUIET_S, _QUIET_LIMIT_S = 0.25, 2.0
_MIB: Final = 1024 * 1024
_GVISOR_TASKS: Final = 512

_Change = Literal["same", "new", "ended", "lost"]


class TerminalEnvironment(Environment[TerminalAction, TerminalObservation, TerminalState]):
    """A real shell in a terminal, in a sandbox: run commands, type keys, read the screen, solve tasks.

    Each episode has a sandbox of its own with an empty working directory, which is also the home. An episode with a
    task ends with the operation ``submit``: the task's check then gives reward 1 for solved and 0 for not. Everything
    before gives no reward. Without a task nothing is checked, and ``submit`` just ends the episode.

    Args:
        sandbox: Level of the sandbox; ``auto`` takes the strongest here that gives no network and no host files.
        rows, columns: Size of the terminal, 2 to 200 rows and 20 to 400 columns.
        scrollback: Lines kept of those that left the screen, 0 to 10000; the same number of characters times 200 is
            the most that ``output`` and ``scrollback`` hold, 32768 at least.
        step_limit_s: Seconds that a step waits at most, 0.1 to 3600. What runs then goes on with the next step.
        memory_mib, disk_mib: Memory of all processes together, and size of the working directory, in MiB.
        processes: Processes at a time.

    Raises:
        ConfigurationError: There is no such sandbox here, or an argument is out of range.
    """

    SUPPORTS_CONCURRENT_SESSIONS = True
    REQUIRES_SINGLE_THREAD_EXECUTOR = True  # its steps wait

    def __init__(
        self,
        sandbox: str = "auto",
        rows: int = 24,
        columns: int = 80,
        scrollback: int = 200,
        step_limit_s: float = 30.0,
        memory_mib: int = 512,
        disk_mib: int = 64,
        processes: int = 64,
    ) -> None:
        for name, value, least, most in (
            ("rows", rows, 2, 200),
            ("columns", columns, 20, 400),
            ("scrollback", scrollback, 0, 10000),
            ("step_limit_s", step_limit_s, 0.1, 3600),
            ("memory_mib", memory_mib, 64, 1 << 20),
            ("disk_mib", disk_mib, 1, 4096),
            ("processes", processes, 8, 4096),
        ):
            if not least <= value <= most:
                raise ConfigurationError(f"{name} must be from {least:g} to {most:g}, not {value!r}")
        chosen = choose(None if sandbox == "auto" else sandbox)
        # gVisor takes threads of its own for each process, and ends where it gets none
        tasks = processes + (_GVISOR_TASKS if chosen.level is Level.GVISOR else 0)
        limits = Limits(memory_bytes=memory_mib * _MIB, disk_bytes=disk_mib * _MIB, processes=tasks)
        self._setting = Setting(chosen, limits, rows, columns, scrollback)
        self._limit_s = step_limit_s
        self._most_text = max(32768, scrollback * 200)
        self._shell: Shell | None = None
        self._task: Task | None = None
        self._state = self._new_state(None)

    def reset(
        self,
        seed: int | None = None,
        episode_id: str | None = None,
        task: str | int | dict[str, Any] | None = None,
    ) -> TerminalObservation:
        """Start a fresh sandbox with a shell in it.

        Args:
            seed: Without effect: nothing here is random.
            episode_id: Name of the episode.
            task: Name or number of a task of this package, or a task of your own: ``instruction``, ``check`` and, if
                wanted, ``setup``, ``name`` and ``check_limit_s``; see ``tasks.Task``. ``None`` for no task.

        Raises:
            ActionInvalid: There is no such task, or its setup failed.
            RuntimeFailure: The sandbox could not be set up.
        """
        chosen = task_of(task)
        self._drop()
        self._task = chosen
        self._state = self._new_state(episode_id)
        self._replace()
        return self._observed("same", instruction=chosen.instruction if chosen else None)

    def step(self, action: TerminalAction, timeout_s: float | None = None) -> TerminalObservation:
        """Do one thing and say what the terminal shows then.

        Args:
            action: What to do.
            timeout_s: Seconds the caller is willing to wait; the step waits no longer.

        Raises:
            ActionInvalid: The text is no command or no keys, or a command was given while another runs. Nothing was
                done then.
            RuntimeFailure: The sandbox was lost and could not be replaced.
        """
        keys = _checked(action)
        if action.operation == "submit":
            return self._submit()
        change: _Change = "same"
        if self._shell is None:  # lost in a step before, and could not be replaced then
            change = self._replace("lost")
        assert self._shell is not None
        self._shell.begin()
        try:
            self._shell.look()
            if action.operation == "run" and self._shell.running:
                raise ActionInvalid(
                    "a program is still running; wait, send keys such as <C-c>, or restart before the next command"
                )
            self._state.step_count += 1
            change = self._act(action, keys, self._limits(action, timeout_s)) or change
        except Lost:
            change = self._replace("lost")
        return self._observed(change)

    @property
    def state(self) -> TerminalState:
        return self._state

    def close(self) -> None:
        self._drop()

    def get_metadata(self) -> EnvironmentMetadata:
        """The class's docstring, the sandbox in force and the names of the tasks."""
        told = super().get_metadata()
        sandbox = self._setting.sandbox
        guarantees = ", ".join(self._state.guarantees)
        more = f"Sandbox in force: {sandbox.level.value} ({guarantees}). Tasks: {', '.join(one.name for one in TASKS)}."
        return told.model_copy(update={"description": f"{told.description}\n\n{more}"})

    def _new_state(self, episode_id: str | None) -> TerminalState:
        sandbox = self._setting.sandbox
        return TerminalState(
            episode_id=episode_id,
            task=self._task.name if self._task else None,
            sandbox=sandbox.level.value,
            guarantees=sorted(guarantee.value for guarantee in sandbox.guarantees),
        )

    def _limits(self, action: TerminalAction, timeout_s: float | None) -> tuple[float, float | None]:
        """Seconds to wait, and the quiet that ends it earlier."""
        most = self._limit_s if timeout_s is None else max(0.0, min(self._limit_s, timeout_s))
        if action.wait_s is not None:
            return min(most, action.wait_s), None
        return (most, None) if action.operation == "run" else (min(most, _QUIET_LIMIT_S), _QUIET_S)

    def _act(self, action: TerminalAction, keys: bytes, limits: tuple[float, float | None]) -> _Change | None:
        shell = self._shell
        assert shell is not None
        change: _Change | None = None
        limit_s, quiet_s = limits
        if action.operation == "restart":
            if not self._setting.has_own_processes:
                return self._replace("lost")
            shell.kill_all()
        if not shell.alive:
            self._start(shell)
            change = "new"
        if action.operation == "run":
            shell.run(action.text, limit_s)
        elif action.operation in ("keys", "wait"):
            if keys:
                shell.type(keys)
            shell.wait(limit_s, quiet_s)
        shell.look()
        return change if shell.alive else "ended"

    def _start(self, shell: Shell) -> None:
        self._state.shells += 1
        if not shell.start():
            raise Lost("no shell starts in the sandbox")

    def _replace(self, change: _Change = "same") -> _Change:
        """A new sandbox, with what the task begins with."""
        self._drop()
        self._shell = shell = Shell(self._setting)
        try:
            if self._task is not None and self._task.setup:
                code = shell.script(self._task.setup, self._task.check_limit_s)
                if code != 0:
                    how = "takes too long" if code is None else f"ended with exit status {code}"
                    raise ActionInvalid(f"the setup of task {self._task.name} {how}; mend the script")
            shell.begin()
            self._start(shell)
        except (Lost, ActionInvalid) as error:
            self._drop()
            if isinstance(error, ActionInvalid):
                raise
            raise RuntimeFailure(f"{error}; are the limits too low for a shell?") from error
        return change

    def _submit(self) -> TerminalObservation:
        self._state.step_count += 1
        if self._task is None or self._shell is None:
            outcome: dict[str, Any] = {"reward": None if self._task is None else 0.0}
        else:
            self._shell.begin()
            solved, why = check(self._setting, self._shell, self._task.check, self._task.check_limit_s)
            outcome = {"reward": 1.0 if solved else 0.0, "why": why}
        why = outcome.pop("why", "")
        observation = self._observed("ended", done=True, terminated=True, truncated=False, **outcome)
        if why:
            observation.metadata = {**observation.metadata, "check": why}
        self._drop()
        return observation

    def _observed(self, change: _Change, **outcome: Any) -> TerminalObservation:
        facts: Mapping[str, Any] = {"sandbox": self._state.sandbox, "guarantees": self._state.guarantees}
        metadata = dict(facts) if self._state.step_count == 0 else {}
        shell = self._shell
        if shell is None:
            return TerminalObservation(shell=change, metadata=metadata, **outcome)
        return TerminalObservation(
            screen=shell.emulator.screen(),
            cursor=shell.emulator.cursor(),
            scrollback=_bounded(shell.emulator.scrollback(), self._most_text),
            output=_bounded(shell.output(), self._most_text),
            dropped_bytes=shell.dropped_bytes,
            running=shell.running,
            exit_status=None if shell.running else shell.exit_status,
            cwd=shell.cwd,
            shell=change,
            metadata=metadata,
            **outcome,
        )

    def _drop(self) -> None:
        shell, self._shell = self._shell, None
        if shell is not None:
            shell.close()


def _checked(action: TerminalAction) -> bytes:
    """The keys of an action whose text fits its operation; none for a command."""
    text = action.text
    try:
        if len(text.encode()) > _MOST_TEXT_BYTES:
            raise _refused(f"text is longer than {_MOST_TEXT_BYTES} bytes; write it to a file in parts")
        if action.operation == "keys":
            return key_bytes(text)
    except UnicodeEncodeError:
        raise _refused("text holds half of a surrogate pair, which nothing can type") from None
    except UnknownKey as error:
        raise _refused(str(error)) from error
    if action.operation == "run":
        odd = next((one for one in text if (one < " " and one not in "\n\t") or one == "\x7f"), None)
        if odd is not None:
            raise _refused(f"a command cannot hold the control character {odd!r}; type it with the operation 'keys'")
    elif text:
        raise _refused(f"the operation {action.operation!r} takes no text; leave it empty")
    return b""


def _refused(message: str) -> ActionInvalid:
    return ActionInvalid(message, details={"errors": [{"loc": ["text"], "msg": message, "type": "value_error"}]})


def _bounded(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    left_out = len(text) - most
    return f"{text[: most // 2]}\n[{left_out} characters are left out here]\n{text[len(text) - most // 2 :]}"
