"""Where an episode begins, and what is done where it cannot."""

from __future__ import annotations

from typing import Any, cast

import pytest

from openenv.errors import (
    CapacityReached,
    ConnectFailed,
    ConnectionLost,
    EpisodeLost,
    FactoryFailed,
    OpenEnvError,
    ServerDraining,
)
from openenv.pool.beginning import Beginning
from openenv.pool.endpoint import Endpoint
from openenv.pool.events import Teller
from openenv.pool.metrics import Tally
from openenv.pool.placement import Placement
from openenv.pool.terms import Terms
from openenv.protocol import Reset


class Server:
    """As much of an endpoint as placement looks at."""

    def __init__(self, sessions: int, capacity: int, *, is_up: bool = True, is_returning: bool = False) -> None:
        self.sessions, self.capacity = sessions, capacity
        self.is_up, self.is_returning = is_up, is_returning

    def load(self, more: int = 1) -> float:
        return (self.sessions + more) / self.capacity


def placement(*servers: Server) -> Placement:
    return Placement(cast(list[Endpoint], servers))


def test_the_least_loaded_that_is_there_and_was_not_tried() -> None:
    full, roomy, gone = Server(3, 4), Server(30, 60), Server(0, 100, is_up=False)
    choose: Any = placement(full, roomy, gone).choose
    assert choose(set()) is roomy
    assert choose({roomy}) is full
    assert choose({roomy, full}) is gone, "it may be back"
    assert choose({roomy, full, gone}) is None


def test_a_server_that_is_back_gets_its_share_and_no_more() -> None:
    stayed, back = Server(6, 8), Server(0, 8, is_returning=True)
    relief: Any = placement(stayed, back).relief
    moved = 0
    while relief(stayed) is back:
        moved += 1
        stayed.sessions, back.sessions = stayed.sessions - 1, back.sessions + 1
    assert (moved, stayed.sessions, back.sessions) == (3, 3, 3)
    stayed.sessions = 8
    assert relief(stayed) is None, "later it is one like any other"
    assert relief(back) is None


@pytest.fixture
def terms() -> Terms:
    servers = placement(Server(0, 8), Server(0, 8))
    return Terms(servers, Tally(), "disabled", False, 60.0, Teller(None), clock=lambda: 100.0, chance=lambda: 1.0)


def pauses(terms: Terms, until: float, *errors: OpenEnvError) -> list[float | None]:
    """What follows from one error after the other, each at the server that is chosen."""
    beginning = Beginning(Reset(), lambda answer: None, until)
    found = []
    for error in errors:
        endpoint = terms.placement.choose(beginning.tried)
        assert endpoint is not None
        found.append(beginning.pause_after(error, endpoint, terms))
    return found


def test_what_has_no_place_tries_all_servers_and_then_waits_as_long_as_it_may(terms: Terms) -> None:
    full = CapacityReached("full")
    assert pauses(terms, 160.0, full, ServerDraining("stops"), full, full, full) == [0.0, 0.05, 0.0, 0.1, 0.0]
    assert pauses(terms, 100.02, full, full) == [0.0, pytest.approx(0.02)]
    assert pauses(terms, 100.0, full, full) == [0.0, None]


def test_what_reaches_no_server_says_so_after_all_were_tried(terms: Terms) -> None:
    assert pauses(terms, 160.0, ConnectFailed("no"), ConnectFailed("no")) == [0.0, None]


def test_a_session_that_was_gone_is_replaced_once(terms: Terms) -> None:
    assert pauses(terms, 160.0, EpisodeLost("gone"), ConnectionLost("gone")) == [0.0, None]


def test_what_is_wrong_with_the_environment_is_not_tried_again(terms: Terms) -> None:
    assert pauses(terms, 160.0, FactoryFailed("boom")) == [None]
