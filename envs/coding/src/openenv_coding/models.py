"""What an agent has run, what comes of it, and in which sandbox."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from openenv import Action, Observation, State

__all__ = ["CodeResult", "CodingAction", "CodingObservation", "CodingState", "Image", "Operation"]

Operation = Literal["run", "wait", "interrupt", "restart"]


class CodingAction(Action):
    """One thing to do with the interpreter.

    Attributes:
        code: Python source to run, for operation ``run``. Variables of earlier steps are there.
        operation: ``run`` runs the code. ``wait`` waits for code that was left running, ``interrupt`` raises
            KeyboardInterrupt in it; where none runs, both do nothing. ``restart`` begins with a fresh interpreter
            and an empty working directory.
        timeout_s: Seconds that the step may take, at most what the environment allows; ``None`` leaves it to the
            environment.
        keep_running: When the time is up, leave the code running instead of interrupting it.
    """

    code: str = Field(default="", description="Python source to run; variables of earlier steps are there.")
    operation: Operation = Field(
        default="run",
        description="'run' the code; 'wait' for or 'interrupt' code left running; 'restart' the interpreter.",
    )
    timeout_s: float | None = Field(default=None, gt=0, le=86400, description="Seconds the step may take.")
    keep_running: bool = Field(default=False, description="When time is up, leave the code running.")


class Image(BaseModel):
    """A picture.

    Attributes:
        data: Its bytes in base64.
        media_type: What they are.
    """

    data: str = Field(description="The picture's bytes in base64.")
    media_type: str = Field(default="image/png", description="Media type of the picture.")


class CodingObservation(Observation):
    """What came of a step.

    Attributes:
        stdout, stderr: What was written since the last step, as UTF-8, other bytes replaced. Of more than the
            environment shows, the beginning and the end.
        exit_code: 0 if the code ended well, 1 after an exception, N after ``sys.exit(N)``, -n where signal n killed
            the interpreter; ``None`` while the code still runs.
        value: ``repr`` of the last expression, where the code ends with one that is not None.
        images: Matplotlib figures that were open at the end of the step; it closes them.
        timed_out: Whether the time of the step was up before the code ended.
        running: Whether the code was left running.
        restarted: Whether the next code runs in a fresh interpreter, in an empty working directory: variables and
            files are gone.
        restart_reason: Why, in one line; empty if it was not.
        stdout_truncated, stderr_truncated, value_truncated: Whether a part of it is left out.
        stdout_bytes, stderr_bytes: How many bytes were written in all.
        value_chars: Length of the whole value in characters.
        images_dropped: Figures that were too many or too large to show.
        tests_passed: Whether the tests given to ``reset`` passed after this step; ``None`` if they were not run.
    """

    stdout: str = Field(default="", description="What was written to standard output.")
    stderr: str = Field(default="", description="What was written to standard error, tracebacks included.")
    exit_code: int | None = Field(
        default=0, description="0, or 1 after an exception, N after sys.exit(N), -n if signal n killed it."
    )
    value: str | None = Field(default=None, description="repr of the last expression.")
    images: list[Image] = Field(default_factory=list, description="Matplotlib figures that were open.")
    timed_out: bool = Field(default=False, description="Whether the time was up before the code ended.")
    running: bool = Field(default=False, description="Whether the code was left running.")
    restarted: bool = Field(default=False, description="Whether variables and files are gone.")
    restart_reason: str = Field(default="", description="Why they are gone.")
    stdout_truncated: bool = Field(default=False, description="Whether a part of stdout is left out.")
    stderr_truncated: bool = Field(default=False, description="Whether a part of stderr is left out.")
    value_truncated: bool = Field(default=False, description="Whether a part of the value is left out.")
    stdout_bytes: int = Field(default=0, ge=0, description="Bytes written to standard output.")
    stderr_bytes: int = Field(default=0, ge=0, description="Bytes written to standard error.")
    value_chars: int = Field(default=0, ge=0, description="Length of the whole value.")
    images_dropped: int = Field(default=0, ge=0, description="Figures that were too many or too large.")
    tests_passed: bool | None = Field(default=None, description="Whether the episode's tests passed.")


class CodingState(State):
    """Where the episode stands, and what keeps the code in.

    Attributes:
        sandbox: Level of the sandbox: ``rlimits``, ``namespaces``, ``bubblewrap`` or ``gvisor``.
        guarantees: What holds at that level, such as ``no_network``.
        restarts: How often the interpreter was lost or restarted in this episode.
        running: Whether code of an earlier step still runs.
    """

    sandbox: str = Field(default="", description="Level of the sandbox.")
    guarantees: list[str] = Field(default_factory=list, description="What holds at that level.")
    restarts: int = Field(default=0, ge=0, description="How often variables were lost in this episode.")
    running: bool = Field(default=False, description="Whether code of an earlier step still runs.")


class CodeResult(BaseModel):
    """What ``run_code`` tells an agent, as its structured content.

    Attributes:
        stdout, stderr: What was written, cut in the middle where it is long.
        value: ``repr`` of the last expression, where the code ends with one that is not None.
        exit_code: 0 if the code ended well, 1 after an exception, N after ``sys.exit(N)``, -n where signal n killed
            the interpreter.
        timed_out: Whether the time was up before the code ended.
        restarted: Whether variables and files are gone.
        restart_reason: Why, in one line; empty if they are not.
    """

    stdout: str = Field(default="", description="What was written to standard output.")
    stderr: str = Field(default="", description="What was written to standard error, tracebacks included.")
    value: str | None = Field(default=None, description="repr of the last expression.")
    exit_code: int = Field(default=0, description="0, or 1 after an exception, N after sys.exit(N), -n if killed.")
    timed_out: bool = Field(default=False, description="Whether the time was up before the code ended.")
    restarted: bool = Field(default=False, description="Whether variables and files are gone.")
    restart_reason: str = Field(default="", description="Why they are gone.")
