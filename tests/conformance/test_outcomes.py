"""What the script makes of what the suites print and leave behind."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from scripts.conformance import SUITES, Outcome, closed_port, main, outcomes, table

PRINTED = """Running all suite (3 scenarios) against http://127.0.0.1:9/mcp

=== Running scenario: server-initialize ===
Running client scenario 'server-initialize' against server: http://127.0.0.1:9/mcp

=== Running scenario: ping ===
Running client scenario 'ping' against server: http://127.0.0.1:9/mcp

=== Running scenario: caching ===
Running client scenario 'caching' against server: http://127.0.0.1:9/mcp
"""


def leave(results: Path, scenario: str, *checks: dict[str, object]) -> None:
    folder = results / f"server-{scenario}-2026-01-02T03-04-05-678Z"
    folder.mkdir()
    (folder / "checks.json").write_text(json.dumps(checks), encoding="utf-8")


def test_outcomes_are_read_by_scenario(tmp_path: Path) -> None:
    leave(tmp_path, "server-initialize", {"id": "a", "status": "SUCCESS"}, {"id": "b", "status": "INFO"})
    failed = {"id": "c", "status": "FAILURE", "errorMessage": "no answer"}
    warned = {"id": "d", "status": "WARNING", "description": "a hint is missing"}
    leave(tmp_path, "ping", failed, warned)
    first, second, third = outcomes(PRINTED, tmp_path)
    assert first == Outcome("server-initialize", checks=2)
    assert (first.passed, second.passed) == (True, False)
    assert (second.failures, second.warnings) == (["c: no answer"], ["d: a hint is missing"])
    assert (third.scenario, third.failures) == ("caching", ["the suite left no result for it"])


def test_a_message_against_the_schema_is_told_in_full(tmp_path: Path) -> None:
    violation = {
        "id": "wire-schema-valid",
        "status": "FAILURE",
        "errorMessage": "1 message",
        "details": {"path": "/id"},
    }
    leave(tmp_path, "ping", violation)
    assert outcomes("Running client scenario 'ping' against", tmp_path)[0].failures == [
        'wire-schema-valid: 1 message {"path": "/id"}'
    ]


def test_the_table_tells_the_floor() -> None:
    found = [Outcome("a"), Outcome("b"), Outcome("c", failures=["no"], warnings=["hm"])]
    header, row = table([(SUITES[-1], found, 1)]).splitlines()
    assert header.split() == ["suite", "package", "scenarios", "closed", "port", "difference", "warnings"]
    assert row.split() == ["2026-07-28", "0.2.0-alpha.12", "2/3", "1/3", "+1", "1"]


def test_the_suites_are_those_of_the_goal() -> None:
    assert [(suite.name, suite.scenarios) for suite in SUITES] == [
        ("0.1.16", 32),
        ("2025-06-18", 27),
        ("2025-11-25", 33),
        ("2026-07-28", 40),
    ]


def test_nobody_answers_at_the_closed_port() -> None:
    with closed_port() as kept, pytest.raises(ConnectionRefusedError):
        socket.create_connection(kept.getsockname())


def test_a_suite_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--suite", "1999-01-01"])
    assert "invalid choice" in capsys.readouterr().err
