"""The demo: a real server, both agents, and a verdict that can also be no."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from openenv.record import EventStore

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "examples" / "demo.py"
ROW = re.compile(r"^│ (random moves|best strategy) .*│ +([+-][.\d]+) │ .* │ +([+-][.\d]+) │.*│ (yes|NO) ", re.MULTILINE)


def run(directory: Path, code: str) -> subprocess.CompletedProcess[str]:
    paths = [str(ROOT / "src"), str(ROOT / "envs" / "blackjack" / "src"), str(DEMO.parent)]
    start = f"import sys; sys.path[:0] = {paths!r}; import demo; {code}; raise SystemExit(demo.main())"
    arguments = ["--episodes", "1500", "--sessions", "32"]
    return subprocess.run(
        [sys.executable, "-c", start, *arguments], cwd=directory, capture_output=True, text=True, timeout=100
    )


def test_the_demo_agrees_with_the_exact_values_and_repeats_itself(tmp_path: Path) -> None:
    first = run(tmp_path, "pass")
    assert first.returncode == 0, first.stderr
    rows = ROW.findall(first.stdout)
    assert [(name, verdict) for name, _, _, verdict in rows] == [("random moves", "yes"), ("best strategy", "yes")]
    for _, mean, exact, _ in rows:
        assert float(mean) == pytest.approx(float(exact), abs=0.11)
        assert -1 < float(mean) < 0
    assert float(rows[0][2]) < float(rows[1][2])
    assert "\x1b" not in first.stdout + first.stderr
    with EventStore.open(tmp_path / "runs") as store:
        runs = store.runs()
        assert [(run.agent, run.status) for run in runs] == [("best", "complete"), ("random", "complete")]
        assert all(sum(1 for _ in store.episodes(run.id)) == 1500 for run in runs)
        assert f"trajectories show {runs[0].id}" in first.stdout
    again = ROW.findall(run(tmp_path, "pass").stdout)
    assert [row[1] for row in again] == [row[1] for row in rows]


def test_the_demo_fails_if_the_numbers_disagree(tmp_path: Path) -> None:
    done = run(tmp_path, "demo.exact_value = lambda policy: 0.2")
    assert done.returncode == 1
    assert [row[3] for row in ROW.findall(done.stdout)] == ["NO", "NO"]
    assert "DISAGREE" in done.stdout
