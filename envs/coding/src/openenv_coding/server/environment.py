"""The environment: code in, output out, in an interpreter that may be lost at any step."""

from __future__ import annotations

import base64
from typing import Any

from openenv import ActionInvalid, ConfigurationError, Environment, EnvironmentMetadata, RuntimeFailure
from openenv.sandbox import Limits, choose
from openenv_coding.models import CodingAction, CodingObservation, CodingState, Image
from openenv_coding.server import frames
from openenv_coding.server.interpreter import Interpreter, Link, Progress

__all__ = ["CodingEnvironment"]

_MIB = 1024 * 1024
_MARGIN = 65536  # of an answer: numbers and lengths
_GRACE_S = 2.0


class CodingEnvironment(Environment[CodingAction, CodingObservation, CodingState]):
    """Runs Python code in a sandbox. Variables and files stay from step to step; a reset begins with none.

    The code runs with the packages of the Python that serves it, as a user without rights. A step that takes too
    long is interrupted as by Ctrl-C; if that does not help, or the interpreter dies, the next step has a fresh one
    in an empty working directory, and the observation says so. Without tests there is no reward and no end.

    Args:
        sandbox: Level of the sandbox: ``gvisor``, ``bubblewrap``, ``namespaces`` or ``rlimits``. ``auto`` takes the
            strongest there is and none that leaves network or host files open.
        step_timeout_s: Seconds that a step may take where its action does not say.
        max_step_timeout_s: Seconds that an action may ask for; more is taken as this.
        memory_bytes: Memory of the interpreter and all that it starts.
        processes: Processes and threads at a time.
        disk_bytes: Size of the working directory, and of ``/tmp``.
        max_output_bytes: How much of standard output, and of standard error, a step shows.
        max_value_chars: How much of the last expression's value a step shows.
        max_images: How many figures a step shows.
        max_image_bytes: Size of all figures of a step.
        warm_spare: Keep an interpreter for the next episode ready beside the one that runs: resets are faster, and
            a session takes two processes.

    Raises:
        ConfigurationError: A limit is out of range, or no such sandbox is to be had here; the message says how to
            mend it.
    """

    SUPPORTS_CONCURRENT_SESSIONS = True
    REQUIRES_SINGLE_THREAD_EXECUTOR = True  # steps wait: never in the server's own thread

    link: Link | None = None
    """Tools that the code may call; set before the first reset."""

    def __init__(
        self,
        sandbox: str = "auto",
        *,
        step_timeout_s: float = 30.0,
        max_step_timeout_s: float = 600.0,
        memory_bytes: int = 1024 * _MIB,
        processes: int = 64,
        disk_bytes: int = 128 * _MIB,
        max_output_bytes: int = 65536,
        max_value_chars: int = 16384,
        max_images: int = 16,
        max_image_bytes: int = 8 * _MIB,
        warm_spare: bool = True,
    ) -> None:
        if not 0 < step_timeout_s <= max_step_timeout_s:
            raise ConfigurationError("step_timeout_s must be above 0 and at most max_step_timeout_s")
        if min(max_output_bytes, max_value_chars, max_images, max_image_bytes) < 2:
            raise ConfigurationError(
                "max_output_bytes, max_value_chars, max_images and max_image_bytes must be 2 or more"
            )
        self._sandbox = choose(None if sandbox == "auto" else sandbox)
        self._limits = Limits(memory_bytes=memory_bytes, processes=processes, disk_bytes=disk_bytes)
        self._step_timeout_s, self._max_step_timeout_s = step_timeout_s, max_step_timeout_s
        self._max_output_bytes = max_output_bytes
        self._shown = (max_value_chars, max_images, max_image_bytes)
        self._warm_spare = warm_spare
        self._spare: Interpreter | None = None
        self._interpreter: Interpreter | None = None
        self._seed = 0
        self._tests = ""
        self._state = self._new_state(None)

    def reset(
        self,
        seed: int | None = None,
        episode_id: str | None = None,
        tests: str | None = None,
    ) -> CodingObservation:
        """Begin with a fresh interpreter in an empty working directory.

        Args:
            seed: Seed of module ``random`` inside, 0 or more; ``None`` for a fresh one. Sets and dictionaries have
                the same order in every episode. Other generators, such as NumPy's, are for the code to seed.
            episode_id: Name of the episode.
            tests: Python source that is run after each step's code, in a copy of its variables. If it runs to its
                end without an exception, the reward is 1 and the episode is over; else the reward is 0. Its output
                is not shown. It runs in the same interpreter, so code that sets out to deceive it can.

        Raises:
            ActionInvalid: The tests are no text, or have a syntax error.
            RuntimeFailure: Python does not start in the sandbox.
        """
        self._tests = _checked(tests)
        self._drop()
        self._state = self._new_state(episode_id)
        self._seed = self.reseed(seed) & (2**64 - 1)
        self._begin()
        return CodingObservation(metadata=self._facts())

    def step(self, action: CodingAction, timeout_s: float | None = None) -> CodingObservation:
        """Run code, or wait for, interrupt or restart what runs.

        Args:
            action: What to do.
            timeout_s: Seconds that the caller is willing to wait; the least of this, the action's own and the
                environment's limit holds.

        Raises:
            RuntimeFailure: Python does not start in the sandbox any more.
        """
        self._state.step_count += 1
        wanted = self._step_timeout_s if action.timeout_s is None else action.timeout_s
        limit_s = min(wanted, self._max_step_timeout_s, *([] if timeout_s is None else [max(0.0, timeout_s)]))
        if action.operation == "restart":
            self._drop()
            return self._restarted("the action asked for it", exit_code=0)
        if self._interpreter is None:
            self._begin()
        assert self._interpreter is not None
        self._interpreter.capture(self._max_output_bytes, self._max_output_bytes)
        if not self._state.running:
            if action.operation != "run":
                self._interpreter.progress(0.0)  # what threads have written since
                return self._written()
            self._interpreter.ask(frames.run(self._state.step_count, action.code))
        elif action.operation == "run":
            self._interpreter.progress(0.0)
            return self._written(
                exit_code=None,
                running=True,
                metadata={"refused": "code of an earlier step still runs; wait for it, interrupt or restart it"},
            )
        self._state.running = True
        return self._see_through(action, limit_s)

    @property
    def state(self) -> CodingState:
        return self._state

    def close(self) -> None:
        self._drop()
        spare, self._spare = self._spare, None
        if spare is not None:
            spare.close()

    def get_metadata(self) -> EnvironmentMetadata:
        held = ", ".join(self._state.guarantees) or "nothing"
        return EnvironmentMetadata(
            name="coding",
            description=f"Runs Python code in a sandbox: level {self._state.sandbox}, which guarantees {held}.",
            version="1.0.0",
        )

    def _new_state(self, episode_id: str | None) -> CodingState:
        return CodingState(
            episode_id=episode_id,
            sandbox=self._sandbox.level.value,
            guarantees=sorted(guarantee.value for guarantee in self._sandbox.guarantees),
        )

    def _facts(self) -> dict[str, Any]:
        return {"sandbox": self._state.sandbox, "guarantees": list(self._state.guarantees)}

    # Lives of interpreters ------------------------------------------------------------------------

    def _start(self) -> Interpreter:
        chars, _, image_bytes = self._shown
        return Interpreter(self._sandbox, self._limits, 4 * chars + image_bytes + _MARGIN, self.link)

    def _begin(self) -> None:
        """Put a fresh interpreter to work, the spare one if there is one."""
        spare, self._spare = self._spare, None
        interpreter = spare or self._start()
        try:
            self._prepare(interpreter)
        except RuntimeFailure:
            if spare is None:
                raise
            interpreter = self._start()  # the spare one may have been killed while it waited
            self._prepare(interpreter)
        self._interpreter = interpreter
        if self._warm_spare:
            self._spare = self._start()

    def _prepare(self, interpreter: Interpreter) -> None:
        interpreter.wait_ready()
        interpreter.ask(frames.begin(*self._shown, self._seed))
        interpreter.wait_ready()

    def _drop(self) -> None:
        interpreter, self._interpreter = self._interpreter, None
        self._state.running = False
        if interpreter is not None:
            interpreter.close()

    # One step -------------------------------------------------------------------------------------

    def _see_through(self, action: CodingAction, limit_s: float) -> CodingObservation:
        interpreter = self._interpreter
        assert interpreter is not None
        late = False
        interrupted = action.operation == "interrupt"
        if interrupted:
            interpreter.interrupt()
        how = interpreter.progress(min(limit_s, _GRACE_S) if interrupted else limit_s)
        if how is Progress.LATE and not interrupted:
            late = True
            if action.keep_running:
                return self._written(exit_code=None, timed_out=True, running=True)
            interrupted = True
            interpreter.interrupt()
            how = interpreter.progress(_GRACE_S)
        self._state.running = False
        if how is Progress.LATE:
            interpreter.end(0.0)
            why = f"the code did not stop {_GRACE_S:g} s after an interrupt and was killed"
            return self._restarted(why, exit_code=-9, timed_out=late)
        if how is Progress.LOST:
            return self._lost(late)
        try:
            ran = frames.Ran.of(interpreter.fields())
        except frames.Broken:
            return self._lost(late)
        observation = self._written(
            exit_code=ran.exit_code,
            value=ran.value,
            value_chars=ran.value_chars,
            value_truncated=ran.value_chars > self._shown[0],
            images=[Image(data=base64.b64encode(image).decode()) for image in ran.images],
            images_dropped=ran.images_dropped,
            timed_out=late,
        )
        if interrupted and not ran.interrupted:
            self._settle()
        if self._tests and self._interpreter is not None and not late:
            self._test(observation)
        return observation

    def _settle(self) -> None:
        """The code ended just as it was to be interrupted: that must not hit the next one."""
        assert self._interpreter is not None
        self._interpreter.ask(frames.settle())
        if self._interpreter.progress(_GRACE_S) is not Progress.ANSWERED:
            self._drop()

    def _test(self, observation: CodingObservation) -> None:
        interpreter = self._interpreter
        assert interpreter is not None
        interpreter.ask(frames.tests(self._tests))
        how = interpreter.progress(self._step_timeout_s)
        passed = False
        try:
            passed = how is Progress.ANSWERED and interpreter.fields()[:1] == [b"\1"]
        except frames.Broken:
            how = Progress.LOST
        if how is not Progress.ANSWERED:
            self._drop()
            self._state.restarts += 1
            observation.restarted = True
            observation.restart_reason = "the tests did not end, or ended the interpreter; variables and files are gone"
        observation.tests_passed = passed
        observation.reward = 1.0 if passed else 0.0
        observation.done = passed

    def _lost(self, late: bool) -> CodingObservation:
        """The interpreter ended, or no longer answers."""
        assert self._interpreter is not None
        ended, itself = self._interpreter.end()
        code = ended.exit_code if itself else 137
        signal_number = code - 128 if 128 < code <= 128 + 64 else 0
        if not itself or code == frames.CUT_OFF:
            why = "the code cut the interpreter off, by closing its descriptors or meddling with it"
        elif ended.out_of_memory:
            why = f"the interpreter was killed: the memory limit of {self._limits.memory_bytes} bytes was reached"
        elif signal_number:
            why = f"the interpreter was killed by signal {signal_number}"
        else:
            why = f"the interpreter ended with exit code {code}"
        return self._restarted(why, exit_code=-signal_number or code, timed_out=late)

    def _restarted(self, why: str, **fields: Any) -> CodingObservation:
        observation = self._written(
            restarted=True, restart_reason=f"{why}; variables and files are gone", metadata=self._facts(), **fields
        )
        self._drop()
        self._state.restarts += 1
        if self._tests:
            observation.reward = 0.0
            observation.tests_passed = False
        return observation

    def _written(self, **fields: Any) -> CodingObservation:
        if self._interpreter is None:
            return CodingObservation(**fields)
        out, err = self._interpreter.stdout, self._interpreter.stderr
        return CodingObservation(
            stdout=out.text(),
            stderr=err.text(),
            stdout_bytes=out.total,
            stderr_bytes=err.total,
            stdout_truncated=out.truncated,
            stderr_truncated=err.truncated,
            **fields,
        )


def _checked(tests: str | None) -> str:
    if tests is None:
        return ""
    if not isinstance(tests, str):
        raise ActionInvalid(f"tests must be Python source as text, not {type(tests).__name__}")
    try:
        compile(tests, "<tests>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise ActionInvalid(f"tests cannot be run: {error}") from error
    return tests
