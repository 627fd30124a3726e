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


def run(directory: Path, code: str, *more: str) -> subprocess.CompletedProcess[str]:
    paths = [str(ROOT / "src"), str(ROOT / "envs" / "blackjack" / "src"), str(DEMO.parent)]
    start = f"import sys; sys.path[:0] = {paths!r}; import demo; from acts import cards; {code}; "
    start += "raise SystemExit(demo.main())"
    arguments = ["--episodes", "1500", "--sessions", "32", *more]
    return subprocess.run(
        [sys.executable, "-c", start, *arguments], cwd=directory, capture_output=True, text=True, timeout=250
    )


def test_the_demo_agrees_with_the_exact_values_and_repeats_itself(tmp_path: Path) -> None:
    first = run(tmp_path, "pass", "--cards-only")
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
    again = ROW.findall(run(tmp_path, "pass", "--cards-only").stdout)
    assert [row[1] for row in again] == [row[1] for row in rows]


def test_the_demo_fails_if_the_numbers_disagree(tmp_path: Path) -> None:
    done = run(tmp_path, "cards.exact_value = lambda policy: 0.2", "--cards-only")
    assert done.returncode == 1
    assert [row[3] for row in ROW.findall(done.stdout)] == ["NO", "NO"]
    assert "DISAGREE" in done.stdout


@pytest.mark.timeout(300)
def test_all_acts_come_out_right(tmp_path: Path) -> None:
    done = run(tmp_path, "pass")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The answer, 76127, is right." in done.stdout
    assert "The answer, 263, is right." in done.stdout
    assert (tmp_path / "runs" / "plots" / "overview.png").stat().st_size > 10_000
    if "tasks are left out" not in done.stdout:
        solved = re.findall(r"^│ (chain_sum|number_sorting) +│ +(\d+) │ +(\d+) │", done.stdout, re.MULTILINE)
        assert [(asked, right) for _, asked, right in solved] == [("70", "70"), ("70", "70")]
        assert "fails honestly" in done.stdout
