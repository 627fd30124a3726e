"""What the constructor refuses."""

from __future__ import annotations

from typing import Any

import pytest

from openenv import ConfigurationError
from openenv_terminal.server.environment import TerminalEnvironment


@pytest.mark.parametrize("option", [{"rows": 1}, {"columns": 5000}, {"step_limit_s": 0}, {"sandbox": "wishes"}])
def test_options_out_of_range_are_refused(option: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"must be from|no sandbox level"):
        TerminalEnvironment(**option)
