"""Holds the MCP endpoint to the official conformance suites, and prints what passed.

Each suite is played against ``openenv serve tests/conformance/fixture.py`` and against a closed port. What passes there
says nothing about a server, so it is told beside the result. The exit code is 0 only if every scenario passes.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).resolve().parent
if str(SCRIPTS) not in sys.path:  # also where this file is loaded from elsewhere
    sys.path.insert(0, str(SCRIPTS))

import npm_tools  # noqa: E402

from openenv.errors import OpenEnvError  # noqa: E402
from openenv.testing import serving_command  # noqa: E402

__all__ = ["SUITES", "Outcome", "Suite", "main", "outcomes", "play", "table"]

ROOT = SCRIPTS.parent
FIXTURE = ROOT / "tests" / "conformance" / "fixture.py"
PACKAGE = "@modelcontextprotocol/conformance"
_RUN_S = 300


@dataclass(frozen=True)
class Suite:
    """One run of the official suite.

    Attributes:
        name: What it is called here.
        version: Of the npm package.
        scenarios: How many it has; another number is a mistake of ours.
        options: What selects them.
    """

    name: str
    version: str
    scenarios: int
    options: tuple[str, ...] = ("--suite", "all")


SUITES = (
    Suite("0.1.16", "0.1.16", 32),
    *(
        Suite(spec, "0.2.0-alpha.12", scenarios, ("--suite", "all", "--spec-version", spec))
        for spec, scenarios in (("2025-06-18", 27), ("2025-11-25", 33), ("2026-07-28", 40))
    ),
)


@dataclass
class Outcome:
    """What came of one scenario.

    Attributes:
        scenario: Its name.
        failures: One line for each check that failed.
        warnings: One line for each that the suite only warns of; they let it pass.
        checks: How many checks there were.
    """

    scenario: str
    failures: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    checks: int = 0

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return not self.failures


def outcomes(printed: str, results: Path) -> list[Outcome]:
    """The outcomes of a run, in its order.

    Args:
        printed: What the suite printed.
        results: The directory of its results: ``server-SCENARIO-TIME/checks.json``.
    """
    found = [Outcome(name) for name in re.findall(r"^Running client scenario '([^']+)'", printed, re.MULTILINE)]
    files = {
        re.sub(r"-\d{4}-\d\d-\d\dT[\d-]+Z$", "", path.parent.name).removeprefix("server-"): path
        for path in results.glob("*/checks.json")
    }
    for outcome in found:
        _read(outcome, files.get(outcome.scenario))
    return found


def _read(outcome: Outcome, path: Path | None) -> None:
    if path is None:
        outcome.failures.append("the suite left no result for it")
        return
    checks: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    outcome.checks = len(checks)
    for check in checks:
        line = f"{check['id']}: {check.get('errorMessage') or check.get('description') or 'no message'}"
        if check["status"] == "FAILURE":
            outcome.failures.append(line + _violations(check))
        elif check["status"] == "WARNING":
            outcome.warnings.append(line)


def _violations(check: dict[str, Any]) -> str:
    """What the suite's own check of the wire against the schema says in detail."""
    details = check.get("details")
    return "" if check["id"] != "wire-schema-valid" or not details else f" {json.dumps(details)[:2000]}"


def play(node: Path, modules: Path, suite: Suite, url: str, scenario: str | None = None) -> tuple[list[Outcome], str]:
    """Play a suite against an MCP endpoint: what came of it, and what it printed.

    Args:
        node: A node of version 22 or later.
        modules: The ``node_modules`` that hold the suite.
        suite: Which.
        url: Of the endpoint.
        scenario: Only this one.
    """
    options = suite.options if scenario is None else (*suite.options[2:], "--scenario", scenario)
    with tempfile.TemporaryDirectory(prefix="openenv-conformance-") as results:
        program = modules / PACKAGE / "dist" / "index.js"
        command: list[str | Path] = [node, program, "server", "--url", url, *options, "-o", results]
        try:
            done = subprocess.run(
                command, cwd=results, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_RUN_S
            )
        except subprocess.TimeoutExpired as slow:
            raise OpenEnvError(f"suite {suite.name} took more than {_RUN_S} s") from slow
        printed = done.stdout + done.stderr
        found = outcomes(printed, Path(results))
        if found and done.returncode and all(outcome.passed for outcome in found):
            found[-1].failures.append("the suite says that something failed; see what it prints with -v")
        return found, printed


def closed_port() -> AbstractContextManager[socket.socket]:
    """A port of loopback that nothing listens on, kept from others for as long as the socket is open."""
    kept = socket.socket()
    kept.bind(("127.0.0.1", 0))
    return kept


def table(rows: Sequence[tuple[Suite, Sequence[Outcome], int]]) -> str:
    """The result of each suite: passed of all, the floor, what is above it.

    Args:
        rows: Each suite, what came of it, and how many of its scenarios pass at a closed port.
    """
    lines = [f"{'suite':<12}{'package':<18}{'scenarios':>11}{'closed port':>13}{'difference':>12}{'warnings':>10}"]
    for suite, found, floor in rows:
        passed = sum(outcome.passed for outcome in found)
        warnings = sum(len(outcome.warnings) for outcome in found)
        lines.append(
            f"{suite.name:<12}{suite.version:<18}{f'{passed}/{len(found)}':>11}{f'{floor}/{len(found)}':>13}"
            f"{f'+{passed - floor}' if passed >= floor else passed - floor:>12}{warnings:>10}"
        )
    return "\n".join(lines)


def _say(suite: Suite, found: Sequence[Outcome], printed: str, verbose: bool) -> None:
    """What failed, and if wished everything."""
    if verbose:
        print(printed)
    for outcome in found:
        for line in outcome.failures:
            print(f"{suite.name} {outcome.scenario} FAILED {line}")
        for line in outcome.warnings if verbose else ():
            print(f"{suite.name} {outcome.scenario} warning {line}")
    sys.stdout.flush()


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [suite.name for suite in SUITES]
    parser.add_argument("--suite", action="append", choices=names, help="only this one; may be given again")
    parser.add_argument("--scenario", help="only this one, as `conformance list --server` names it")
    parser.add_argument("--url", help="an endpoint that is there already, instead of the fixture's")
    parser.add_argument("--serve", default="", help='more options of `openenv serve`, such as "--workers 2"')
    parser.add_argument("-v", "--verbose", action="store_true", help="print what the suites print, and their warnings")
    return parser.parse_args(words)


def _endpoint(url: str | None, more: str) -> AbstractContextManager[str]:
    if url is not None:
        return nullcontext(url.removesuffix("/mcp"))
    start = "import sys; from openenv.cli import main; sys.exit(main(sys.argv[1:]))"
    options = ["--port", "0", "--journal-mode", "off", "--max-sessions", "64", *shlex.split(more)]
    return serving_command([sys.executable, "-c", start, "serve", str(FIXTURE), *options])


def main(words: Sequence[str] | None = None) -> int:
    wanted = _arguments(words)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server ends too
    suites = [suite for suite in SUITES if not wanted.suite or suite.name in wanted.suite]
    rows: list[tuple[Suite, Sequence[Outcome], int]] = []
    whole = True
    try:
        node = npm_tools.find()
        modules = {suite.version: npm_tools.installed({PACKAGE: suite.version}) for suite in suites}
        with _endpoint(wanted.url, wanted.serve) as url, closed_port() as closed:
            print(f"the endpoint is {url}/mcp", flush=True)
            nowhere = f"http://127.0.0.1:{closed.getsockname()[1]}/mcp"
            for suite in suites:
                found, printed = play(node, modules[suite.version], suite, f"{url}/mcp", wanted.scenario)
                floor, _ = play(node, modules[suite.version], suite, nowhere, wanted.scenario)
                _say(suite, found, printed, wanted.verbose)
                whole &= len(found) == (suite.scenarios if wanted.scenario is None else 1)
                rows.append((suite, found, sum(outcome.passed for outcome in floor)))
    except (npm_tools.NodeMissing, OpenEnvError, OSError) as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    print(table(rows))
    if not whole:
        print("error: a suite did not play as many scenarios as it has", file=sys.stderr)
    return 0 if whole and all(outcome.passed for _, found, _ in rows for outcome in found) else 1


if __name__ == "__main__":
    raise SystemExit(main())
