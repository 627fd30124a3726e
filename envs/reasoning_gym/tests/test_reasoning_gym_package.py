"""The package: what it declares, and what importing it loads."""

from __future__ import annotations

import subprocess
import sys

import pytest

import openenv_reasoning_gym


def test_the_package_has_no_other_names() -> None:
    with pytest.raises(AttributeError, match="Sudoku"):
        openenv_reasoning_gym.Sudoku  # noqa: B018 - the access is the test


@pytest.mark.parametrize("module", ["openenv_reasoning_gym", "openenv_reasoning_gym.client"])
def test_the_client_loads_neither_reasoning_gym_nor_a_server(module: str) -> None:
    code = f"import sys, {module}; print(*sorted({{'reasoning_gym', 'numpy', 'sympy', 'fastapi'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_server_without_reasoning_gym_is_one_line_with_its_remedy() -> None:
    code = (
        "import sys; sys.modules['reasoning_gym'] = None\n"
        "from openenv import MissingExtra\n"
        "try: import openenv_reasoning_gym.server.app\n"
        "except MissingExtra as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    (line,) = done.stdout.splitlines()
    assert "reasoning_gym" in line
    assert "pip install 'openenv-reasoning-gym[server]'" in line
