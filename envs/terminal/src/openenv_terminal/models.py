"""What an agent does at the terminal, sees of it, and where its episode stands."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from openenv import Action, Observation, State

__all__ = ["Operation", "TerminalAction", "TerminalObservation", "TerminalState"]

Operation = Literal["run", "keys", "wait", "restart", "submit"]


class TerminalAction(Action):
    """One thing to do.

    Attributes:
        operation: ``run`` gives ``text`` to the shell as one command and waits for its end. ``keys`` types ``text``,
            with keys by name such as ``<C-c>``. ``wait`` lets what runs go on. ``restart`` kills all that runs and
            starts a new shell; the files stay. ``submit`` ends the episode and has the task checked.
        text: A command, of one or several lines, up to 64 KiB; or keys, see ``openenv_terminal.keys``.
        wait_s: Seconds to wait at most; ``run``, ``keys`` and ``wait`` return earlier when the shell is back at its
            prompt. ``None``: ``run`` waits for the environment's ``step_limit_s``, ``keys`` and ``wait`` until output
            has been quiet for a quarter of a second, but no longer than two seconds.
    """

    operation: Operation = Field(default="run", description="run a command, type keys, wait, restart or submit.")
    text: str = Field(default="", description="The command to run, or the keys to type, such as 'ls<Enter>'.")
    wait_s: float | None = Field(default=None, ge=0, le=3600, description="Seconds to wait at most.")


class TerminalObservation(Observation):
    """What the terminal shows.

    Attributes:
        screen: The screen, its rows joined by newlines; blanks at their ends and empty rows at the bottom are left out.
        cursor: Row and column of the cursor, counted from 0.
        scrollback: The last lines that left the screen at the top.
        output: What is new since the last step, as lines: the command, its output and the next prompt. Where it is too
            long, the middle is left out and a line says so. The screen instead, if a program has moved the cursor up.
        dropped_bytes: Bytes of output that were too many and never reached the screen.
        running: Whether the shell is not at its prompt: a program runs, or an unfinished command waits for its rest.
        exit_status: Of the last finished command, 0 to 255; ``None`` while one runs, and before the first.
        cwd: The shell's working directory; empty where it cannot be told.
        shell: ``same`` as in the step before; ``ended`` in this step, so the next one starts another, in which
            case that step says ``new``; ``lost``: the whole sandbox had to be replaced, and its files are gone.
        instruction: What the task asks for; given by reset alone.
    """

    screen: str = Field(default="", description="The screen as text.")
    cursor: tuple[int, int] = Field(default=(0, 0), description="Row and column of the cursor, from 0.")
    scrollback: str = Field(default="", description="The last lines that left the screen.")
    output: str = Field(default="", description="What is new since the last step.")
    dropped_bytes: int = Field(default=0, ge=0, description="Bytes of output that were too many to show.")
    running: bool = Field(default=False, description="Whether something other than the prompt has the terminal.")
    exit_status: int | None = Field(default=None, description="Of the last finished command; null while one runs.")
    cwd: str = Field(default="", description="The shell's working directory.")
    shell: Literal["same", "new", "ended", "lost"] = Field(default="same", description="What became of the shell.")
    instruction: str | None = Field(default=None, description="What the task asks for; given by reset alone.")


class TerminalState(State):
    """Where the episode stands.

    Attributes:
        task: Name of the task, ``None`` without one.
        sandbox: Level of the sandbox in force.
        guarantees: What that level keeps from the shell.
        shells: Shells started in this episode, the first included.
    """

    task: str | None = Field(default=None, description="Name of the task, if there is one.")
    sandbox: str = Field(default="", description="Level of the sandbox in force.")
    guarantees: list[str] = Field(default_factory=list, description="What the sandbox keeps from the shell.")
    shells: int = Field(default=0, ge=0, description="Shells started in this episode.")
