"""What lies below /tmp on the host, a virtual environment for one, can be given to a program."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.unit.sandbox.playing import sandbox_at

from openenv.sandbox import Level, Limits, python_paths


@pytest.mark.parametrize("level", [level for level in Level if level is not Level.RLIMITS])
def test_a_directory_below_tmp_can_be_read(level: Level, tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.mkdir()
    (given / "greeting").write_text("hello", encoding="ascii")
    program = f"import sys; sys.exit(open({str(given / 'greeting')!r}).read() != 'hello')"
    paths = {**python_paths(), str(given): str(given)}
    command = [sys.executable, "-I", "-S", "-c", program]
    with sandbox_at(level).spawn(command, limits=Limits(), read_only=paths) as process:
        assert process.wait(20).exit_code == 0
