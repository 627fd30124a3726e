"""For authors of environments: the rules they keep, and the tests that hold an environment to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openenv.lazy import on_first_use

if TYPE_CHECKING:
    from openenv.testing.check import ContractBroken, Report, check_env
    from openenv.testing.contract import EnvironmentContract
    from openenv.testing.loopback import serving, serving_command
    from openenv.testing.rules import Rule

_HOME = {
    "ContractBroken": "openenv.testing.check",
    "EnvironmentContract": "openenv.testing.contract",
    "Report": "openenv.testing.check",
    "Rule": "openenv.testing.rules",
    "check_env": "openenv.testing.check",
    "serving": "openenv.testing.loopback",
    "serving_command": "openenv.testing.loopback",
}

__all__ = ["ContractBroken", "EnvironmentContract", "Report", "Rule", "check_env", "serving", "serving_command"]

# check_env must not load a web server
__getattr__ = on_first_use(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted(__all__)
