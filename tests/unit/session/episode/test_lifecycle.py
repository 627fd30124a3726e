"""The table of what is legal when: complete, and as promised."""

from __future__ import annotations

import pytest

from openenv.environment import Lifecycle
from openenv.errors import EpisodeDone, EpisodeLost, ResetNeeded, SessionClosed
from openenv.session.episode.lifecycle import Operation, Phase, refusal


@pytest.mark.parametrize("lifecycle", ["strict", "lenient"])
@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("operation", Operation)
def test_every_phase_answers_every_operation(lifecycle: Lifecycle, phase: Phase, operation: Operation) -> None:
    error = refusal(lifecycle, phase, operation)
    if phase is Phase.CLOSED:
        assert isinstance(error, SessionClosed)
    elif phase is Phase.LOST and operation is not Operation.RESET:
        assert isinstance(error, EpisodeLost)
        assert "reset()" in error.message
    elif operation is Operation.STEP and lifecycle == "strict" and phase is not Phase.RUNNING:
        assert isinstance(error, ResetNeeded if phase is Phase.FRESH else EpisodeDone)
        assert "reset()" in error.message
    else:
        assert error is None
