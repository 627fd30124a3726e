"""For authors of environments: the rules they keep, and the tests that hold an environment to them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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


def __getattr__(name: str) -> Any:  # check_env must not load a web server
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'openenv.testing' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
