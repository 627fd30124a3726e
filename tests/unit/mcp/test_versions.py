"""Versions: what an ``initialize`` is answered with, and what is told of all of them."""

from __future__ import annotations

import pytest

from openenv.mcp.capabilities import server_capabilities
from openenv.mcp.versions import LATEST_OLDER, LATEST_STATELESS, OLDER, STATELESS, SUPPORTED, Era, negotiated


@pytest.mark.parametrize("version", OLDER)
def test_a_version_of_the_era_is_taken(version: str) -> None:
    assert negotiated(version) == version


@pytest.mark.parametrize("version", [*STATELESS, "1999-01-01", "", "nonsense"])
def test_any_other_is_answered_with_the_latest(version: str) -> None:
    assert negotiated(version) == LATEST_OLDER == "2025-11-25"


def test_all_of_them_are_told_newest_first() -> None:
    assert sorted(SUPPORTED, reverse=True) == [*SUPPORTED]
    assert {*SUPPORTED} == {*OLDER, *STATELESS}
    assert SUPPORTED[0] == LATEST_STATELESS


@pytest.mark.parametrize("era", Era)
def test_capabilities_are_those_that_the_environment_offers(era: Era) -> None:
    assert server_capabilities({}, era) == {"tools": {"listChanged": True}, "logging": {}}
    about = {"resources": True, "prompts": True, "completions": True}
    assert server_capabilities(about, era) == {
        "tools": {"listChanged": True},
        "logging": {},
        "resources": {"subscribe": True, "listChanged": True},
        "prompts": {"listChanged": True},
        "completions": {},
    }
    assert "prompts" not in server_capabilities({"resources": True, "prompts": False}, era)
