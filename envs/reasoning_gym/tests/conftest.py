"""Leaves the tests that need reasoning-gym to the virtual environment that has it (``scripts/env_venv.py``)."""

from __future__ import annotations

from importlib.util import find_spec

# tests/e2e/test_reasoning_gym.py runs them all there
collect_ignore = (
    []
    if find_spec("reasoning_gym")
    else ["test_reasoning_gym_contract.py", "test_reasoning_gym_environment.py", "test_reasoning_gym_scoring.py"]
)
