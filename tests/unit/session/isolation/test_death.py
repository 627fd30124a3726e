"""How a worker died, in words."""

from __future__ import annotations

import signal

import pytest

from openenv.session.isolation.death import OVER_MEMORY, told
from openenv.session.isolation.orders import Ended, Limits

BOTH = Limits(memory_bytes=1000, cpu_s=2)


@pytest.mark.parametrize(
    ("ended", "limits", "asked", "wanted"),
    [
        (Ended(1, exit_code=3), BOTH, None, "ended with exit code 3 (os._exit)"),
        (Ended(1, exit_code=0), Limits(), "too late", "ended with exit code 0 (os._exit)"),
        (Ended(1, exit_code=OVER_MEMORY), BOTH, None, "ran over its memory limit of 1000 bytes"),
        (Ended(1, exit_code=OVER_MEMORY), Limits(), None, f"ended with exit code {OVER_MEMORY} (os._exit)"),
        (Ended(1, signal=signal.SIGSEGV), Limits(), None, "was killed by SIGSEGV"),
        (Ended(1, signal=signal.SIGSEGV), BOTH, None, "run over a memory limit: it has 1000 bytes"),
        (Ended(1, signal=signal.SIGTERM), BOTH, None, "was killed by SIGTERM"),
        (Ended(1, signal=signal.SIGKILL, cpu_s=1.9), BOTH, None, "was killed by SIGKILL"),
        (Ended(1, signal=signal.SIGKILL, cpu_s=2.1), BOTH, None, "over its CPU limit of 2 s"),
        (Ended(1, signal=signal.SIGKILL, cpu_s=2.1), BOTH, "it was asked to", "it was asked to"),
        (Ended(1, signal=signal.SIGXCPU), BOTH, None, "over its CPU limit of 2 s"),
        (Ended(1, signal=signal.SIGXCPU), Limits(), None, "was killed by SIGXCPU"),
        (Ended(1, signal=signal.SIGRTMIN + 1), BOTH, None, f"was killed by signal {signal.SIGRTMIN + 1}"),
        (Ended(1, not_started="no room"), BOTH, None, "no process could be started for it: no room"),
    ],
)
def test_the_reason_is_the_first_that_explains_it(ended: Ended, limits: Limits, asked: str | None, wanted: str) -> None:
    assert told(ended, limits, asked).endswith(wanted)
