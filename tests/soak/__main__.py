"""``python -m tests.soak``: play over bad lines, drain and restart the server, and hold the ledger to what was told."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import signal
import sys
import tempfile
from pathlib import Path

from tests.soak.report import told
from tests.soak.run import Plan, soak


def main() -> int:
    """Run what the command line asks for; 1 if anything is wrong."""
    plan, directory = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the server is to end with it
    print(f"seed {plan.seed}: {plan.steps} steps, {plan.cuts} cuts and {plan.seconds:g} s at least", flush=True)
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
        found = asyncio.run(soak(plan, directory))
        print(told(found))
        return int(bool(found.differences))
    kept = Path(tempfile.mkdtemp(prefix="openenv-soak-"))
    found = asyncio.run(soak(plan, kept))
    print(told(found))
    if not found.differences:
        for file in kept.iterdir():
            file.unlink()
        kept.rmdir()
    return int(bool(found.differences))


def _arguments() -> tuple[Plan, Path | None]:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="Many episodes over bad lines.")
    parser.add_argument("--seed", type=int, help="of faults and players (default: a fresh one)")
    parser.add_argument("--short", action="store_true", help="about 40 s: 10 s at least, 8000 steps, 60 cuts, 1 drain")
    parser.add_argument("--seconds", type=float, help="play for so long at least (default: 100)")
    parser.add_argument("--steps", type=int, help="until so many steps were taken (default: 50000)")
    parser.add_argument("--cuts", type=int, help="and so many connections cut (default: 200)")
    parser.add_argument("--drains", type=int, help="how often the server is drained and restarted (default: 4)")
    parser.add_argument("--limit", type=float, help="seconds after which it has failed (default: 10 times --seconds)")
    parser.add_argument("--keep", type=Path, metavar="DIRECTORY", help="keep ledger and logs there")
    asked = parser.parse_args()
    seconds, steps, cuts, drains = (10.0, 8000, 60, 1) if asked.short else (100.0, 50000, 200, 4)
    seconds = seconds if asked.seconds is None else asked.seconds
    plan = Plan(
        seed=secrets.randbits(32) if asked.seed is None else asked.seed,
        seconds=seconds,
        steps=steps if asked.steps is None else asked.steps,
        cuts=cuts if asked.cuts is None else asked.cuts,
        drains=drains if asked.drains is None else asked.drains,
        limit_s=10 * max(seconds, 10.0) if asked.limit is None else asked.limit,
    )
    if asked.keep is not None and (asked.keep / "ledger").exists():
        parser.error(f"{asked.keep} has the ledger of another run; give a directory that is new")
    return plan, asked.keep


if __name__ == "__main__":
    sys.exit(main())
