"""Roles, tokens, hosts and origins: what a request has to show to be let in."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.session.worlds import Move, Seen, factory_of, world

from openenv.app import create_app
from openenv.errors import AccessDenied, ConfigurationError, Forbidden, SessionNotFound, Unauthorized
from openenv.server import Access, AccessOptions, Exposure, Role, drawn_tokens
from openenv.server.access import CONTROL, TABLE
from openenv.server.hosts import Hosts

TOKENS = {
    Role.ORCHESTRATOR: "of-the-orchestrator",
    Role.GRADER: "of-the-grader-0001",
    Role.OBSERVER: "of-the-observer-01",
}
AGENT = "s1.1.mac"


class Session:
    """A session as access knows it."""

    def __init__(self, session_id: str = "s1", good: str = AGENT) -> None:
        self.id, self._good = session_id, good

    def admits(self, token: str) -> bool:
        return token == self._good


def find(session_id: str) -> Session:
    if session_id != "s1":
        raise SessionNotFound(session_id)
    return Session()


def scope_of(token: str | None = None, server: Any = ("127.0.0.1", 8000), **headers: str) -> dict[str, Any]:
    told = {"host": "localhost:8000", **headers}
    if token is not None:
        told["authorization"] = f"Bearer {token}"
    return {"server": server, "headers": [(name.encode(), value.encode()) for name, value in told.items()]}


def guarded(**options: Any) -> Access:
    return Access(AccessOptions(True, TOKENS, **options), find, Exposure())


def verdict(access: Access, operation: str, token: str | None) -> Any:
    """The role that is let in, or the error."""
    try:
        if operation == "mcp":
            return access.admit_mcp(scope_of(token), Session())
        return access.check(scope_of(token), operation)
    except AccessDenied as error:
        return type(error)


@pytest.mark.parametrize("operation", TABLE)
def test_each_role_may_what_the_table_says(operation: str) -> None:
    access, allowed = guarded(), TABLE[operation]
    for role, token in {**TOKENS, Role.AGENT: AGENT}.items():
        expected: Any = (role if role in allowed else Forbidden) if allowed else None
        assert verdict(access, operation, token) == expected
    for token in (None, "", "wrong", "s1.1.other", "s2.1.mac", TOKENS[Role.ORCHESTRATOR][:-1]):
        assert verdict(access, operation, token) == (Unauthorized if allowed else None)


def test_nobody_but_the_orchestrator_controls_an_episode() -> None:
    """The table itself, against a slip of the pen."""
    assert {one for one in TABLE if Role.AGENT in TABLE[one]} == {"mcp"}
    assert {one for one in TABLE if not TABLE[one]} == {"health", "ready"}
    assert all(Role.ORCHESTRATOR in allowed for allowed in TABLE.values() if allowed)
    moving = {"connect", "converse", "reset", "step", "open", "close", "agent"}
    assert all(TABLE[one] == {Role.ORCHESTRATOR} for one in moving)
    assert {one for one in TABLE if Role.OBSERVER in TABLE[one]} == {"events", "schema", "metadata", "lock"}
    assert moving - {"converse"} | {"state", "outcome", "events"} == CONTROL


@pytest.mark.parametrize("shown", ["Basic of-the-orchestrator", "of-the-orchestrator", "Bearer", "bearer\t", ""])
def test_what_is_no_bearer_token_is_none(shown: str) -> None:
    scope = scope_of(authorization=shown)
    with pytest.raises(Unauthorized):
        guarded().check(scope, "step")


def test_the_scheme_is_read_in_any_case() -> None:
    scope = scope_of(authorization=f"bEARER  {TOKENS[Role.ORCHESTRATOR]} ")
    assert guarded().check(scope, "step") is Role.ORCHESTRATOR


def test_a_role_without_a_token_is_nobody() -> None:
    access = Access(AccessOptions(True, {Role.ORCHESTRATOR: TOKENS[Role.ORCHESTRATOR]}), find)
    assert verdict(access, "outcome", "") is Unauthorized
    assert verdict(access, "outcome", TOKENS[Role.GRADER]) is Unauthorized


def test_tokens_are_long_and_each_role_has_its_own() -> None:
    with pytest.raises(ConfigurationError, match="16 characters") as raised:
        AccessOptions(True, {Role.GRADER: "hunter2"})
    assert "hunter2" not in str(raised.value)
    with pytest.raises(ConfigurationError, match="two roles"):
        AccessOptions(True, dict.fromkeys(TOKENS, "x" * 20))
    assert "of-the" not in repr(AccessOptions(True, TOKENS))
    drawn = drawn_tokens(Role)
    assert len(AccessOptions(True, drawn).tokens) == len(Role)
    assert drawn != drawn_tokens(Role)


# Where no token is needed


def test_everybody_controls_where_no_token_is_needed() -> None:
    access = Access(exposure=Exposure())
    assert all(verdict(access, one, "anything") is Role.ORCHESTRATOR for one in TABLE if one != "mcp" and TABLE[one])
    assert verdict(access, "mcp", None) is Role.ORCHESTRATOR
    assert access.admit_mcp(scope_of("anything"), None) is Role.ORCHESTRATOR


def test_a_token_that_is_shown_at_an_mcp_url_has_to_be_good_all_the_same() -> None:
    access = Access(exposure=Exposure())
    assert verdict(access, "mcp", AGENT) is Role.AGENT
    assert verdict(access, "mcp", "s1.2.mac") is Unauthorized
    access.production = True  # where it may be that of a proxy in front
    assert verdict(access, "mcp", "of-a-proxy") is Role.ORCHESTRATOR
    assert verdict(access, "mcp", "s1.2.mac") is Unauthorized


# Agents


def test_a_common_token_of_agents_is_good_in_production_alone() -> None:
    access = Access(AccessOptions(True, {**TOKENS, Role.AGENT: "of-all-the-agents"}), find)
    assert verdict(access, "mcp", "of-all-the-agents") is Unauthorized
    access.production = True
    assert verdict(access, "mcp", "of-all-the-agents") is Role.AGENT
    assert access.admit_mcp(scope_of("of-all-the-agents"), None) is Role.AGENT
    assert verdict(access, "schema", "of-all-the-agents") is Forbidden


def test_agents_may_have_a_port_of_their_own() -> None:
    access = guarded()
    access.agent_port = 9000
    here, there = scope_of(AGENT), scope_of(AGENT, ("127.0.0.1", 9000))
    with pytest.raises(Forbidden, match="9000"):
        access.admit_mcp(here, Session())
    assert access.admit_mcp(there, Session()) is Role.AGENT
    trainer = scope_of(TOKENS[Role.ORCHESTRATOR], ("127.0.0.1", 9000))
    with pytest.raises(Forbidden, match="port of the agents"):
        access.check(trainer, "step")
    assert access.check(there, "health") is None


# Hosts and origins


@pytest.mark.parametrize(
    ("host", "let_in"),
    [
        ("localhost", True),
        ("localhost:8000", True),
        ("LOCALHOST.:8000", True),
        ("127.0.0.1:8000", True),
        ("127.9.9.9", True),
        ("[::1]:8000", True),
        ("env.localhost", True),
        ("evil.example.com", False),
        ("evil.example.com:8000", False),
        ("localhost.evil.example.com", False),
        ("notlocalhost", False),
        ("10.0.0.1", False),
        ("", False),
        ("/run/env.sock", False),
    ],
)
@pytest.mark.parametrize("operation", ["step", "mcp"])
def test_on_loopback_only_its_names_are_let_in(host: str, let_in: bool, operation: str) -> None:
    access = Access(exposure=Exposure())
    scope = scope_of(host=host)
    if let_in:
        assert _asked(access, operation, scope) is Role.ORCHESTRATOR
    else:
        with pytest.raises(Forbidden, match="does not answer to the name"):
            _asked(access, operation, scope)


def _asked(access: Access, operation: str, scope: Any) -> Any:
    return access.admit_mcp(scope, None) if operation == "mcp" else access.check(scope, operation)


def test_probes_are_let_in_under_any_name() -> None:
    assert guarded(allowed_hosts=("env.example.org",)).check(scope_of(host="10.1.2.3:80"), "ready") is None


@pytest.mark.parametrize("server", [("testserver", 80), ("test", None), None, ("/run/env.sock", None)])
@pytest.mark.parametrize("operation", ["step", "mcp"])
def test_where_no_address_is_known_any_name_is_let_in(server: Any, operation: str) -> None:
    scope = scope_of(server=server, host="test")
    assert _asked(Access(exposure=Exposure()), operation, scope) is Role.ORCHESTRATOR


def test_other_names_can_be_allowed() -> None:
    hosts = Hosts(("env.example.org", "*.example.net", "TRAINER"))
    for good in ("env.example.org:80", "a.example.net", "a.b.example.net", "trainer", "127.0.0.1", "localhost"):
        hosts.check(good, None, "127.0.0.1")
    for good in ("env.example.org", "10.0.0.1:80"):
        hosts.check(good, None, "10.0.0.1")
    for bad in ("example.net", "evilexample.net", "env.example.org.evil.com", "localhost"):
        with pytest.raises(Forbidden):
            hosts.check(bad, None, "10.0.0.1")
    Hosts(("*",)).check("anything", None, "127.0.0.1")


def test_what_listens_everywhere_compares_names_for_mcp_where_it_is_reached_on_loopback() -> None:
    access = Access(exposure=Exposure())
    access.listening("0.0.0.0")
    scope = scope_of(host="evil.example.com")
    assert access.check(scope, "step") is Role.ORCHESTRATOR
    with pytest.raises(Forbidden):
        access.admit_mcp(scope, None)
    assert access.admit_mcp(scope_of(server=("10.0.0.1", 80), host="env.example.org"), None) is Role.ORCHESTRATOR


def test_the_name_that_is_listened_on_is_let_in() -> None:
    access = Access(exposure=Exposure())
    access.listening("localhost")
    access.configure(AccessOptions(False))
    assert access.check(scope_of(host="localhost"), "step") is Role.ORCHESTRATOR
    with pytest.raises(Forbidden):
        access.check(scope_of(host="evil.example.com"), "step")


@pytest.mark.parametrize(
    ("origin", "host", "let_in"),
    [
        ("http://localhost:3000", "localhost:8000", True),
        ("http://127.0.0.1:3000", "localhost:8000", True),
        ("http://[::1]", "127.0.0.1:8000", True),
        ("https://localhost", "127.0.0.1", True),
        ("http://evil.example.com", "localhost:8000", False),
        ("http://localhost.evil.example.com", "localhost:8000", False),
        ("null", "localhost:8000", False),
        ("file://", "localhost:8000", False),
        ("http://[", "localhost:8000", False),
        ("", "localhost:8000", False),
        ("https://page.example.org", "localhost:8000", True),
        ("https://PAGE.example.org", "localhost:8000", True),
        ("http://page.example.org", "localhost:8000", False),
    ],
)
@pytest.mark.parametrize("operation", ["step", "mcp"])
def test_pages_of_other_hosts_may_not_speak(origin: str, host: str, let_in: bool, operation: str) -> None:
    access = Access(AccessOptions(False, allowed_origins=("https://page.example.org/",)), exposure=Exposure())
    scope = scope_of(host=host, origin=origin)
    if let_in:
        assert _asked(access, operation, scope) is Role.ORCHESTRATOR
    else:
        with pytest.raises(Forbidden, match="may not speak"):
            _asked(access, operation, scope)


def test_pages_of_the_same_host_may_speak_anywhere() -> None:
    scope = scope_of(server=("10.0.0.1", 80), host="env.example.org", origin="https://env.example.org")
    assert Access(exposure=Exposure()).admit_mcp(scope, None) is Role.ORCHESTRATOR


def test_a_token_does_not_open_the_door_to_foreign_pages() -> None:
    scope = scope_of(TOKENS[Role.ORCHESTRATOR], origin="http://evil.example.com")
    for operation in ("step", "mcp"):
        with pytest.raises(Forbidden):
            _asked(guarded(), operation, scope)


def test_who_serves_an_application_takes_no_tokens_away_that_it_asks_for() -> None:
    app = create_app(factory_of(world()), Move, Seen, "world", auth=AccessOptions(True, TOKENS))
    app.state.surface.guard(AccessOptions(False, allowed_hosts=("env.example.org",)))
    access = app.state.access
    assert access.enabled
    assert access.check(scope_of(TOKENS[Role.GRADER], host="env.example.org"), "outcome") is Role.GRADER
    with pytest.raises(Unauthorized):
        access.check(scope_of(host="env.example.org"), "outcome")
