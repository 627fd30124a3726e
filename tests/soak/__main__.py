"""``python -m tests.soak``: play over bad lines and through sudden deaths, and hold the ledgers to what was told."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.soak.mortal_report import told_fates
from tests.soak.mortality import Mortality, suffer
from tests.soak.report import told
from tests.soak.run import Plan, soak


def main() -> int:
    """Run what the command line asks for; 1 if anything is wrong."""
    asked = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the servers are to end with it
    directory = asked.keep or Path(tempfile.mkdtemp(prefix="openenv-soak-"))
    print(f"seed {asked.plan.seed}; ledgers and logs: {directory}", flush=True)
    wrong = 0
    if asked.plan.seconds > 0:
        lines = _made(directory / "lines")
        print(f"\nbad lines: {asked.plan.steps} steps, {asked.plan.cuts} cuts and {asked.plan.seconds:g} s at least")
        found = asyncio.run(soak(asked.plan, lines))
        print(told(found), flush=True)
        wrong += len(found.differences)
    if asked.deaths.kills:
        deaths = _made(directory / "deaths")
        print(f"\nsudden deaths: {asked.deaths.kills} kills or more in {asked.deaths.seconds:g} s", flush=True)
        fates = asyncio.run(suffer(asked.deaths, deaths))
        print(told_fates(fates, asked.plan.seed))
        wrong += sum(len(fate.differences) for fate in fates)
    if asked.keep is None and not wrong:
        shutil.rmtree(directory)
    return int(wrong > 0)


class _Asked(NamedTuple):
    plan: Plan
    deaths: Mortality
    keep: Path | None


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True)
    return directory


def _arguments() -> _Asked:
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak",
        description="Many episodes over bad lines, and through the deaths of what they run in.",
    )
    parser.add_argument("--seed", type=int, help="of faults and players (default: a fresh one)")
    parser.add_argument("--short", action="store_true", help="about 45 s: less of everything")
    parser.add_argument("--seconds", type=float, help="play over bad lines for so long at least (default: 100)")
    parser.add_argument("--steps", type=int, help="until so many steps were taken (default: 50000)")
    parser.add_argument("--cuts", type=int, help="and so many connections cut (default: 200)")
    parser.add_argument("--drains", type=int, help="how often the server is drained and restarted (default: 4)")
    parser.add_argument("--kills", type=int, help="workers and servers killed or stopped (default: 40; 0: none)")
    parser.add_argument("--deaths-seconds", type=float, help="play between these for so long (default: 60)")
    parser.add_argument("--workers", type=int, default=1, help="processes that each server consists of (default: 1)")
    parser.add_argument("--limit", type=float, help="seconds after which it has failed (default: 10 times --seconds)")
    parser.add_argument("--keep", type=Path, metavar="DIRECTORY", help="keep ledger and logs there")
    asked = parser.parse_args()
    if asked.keep is not None and asked.keep.exists() and any(asked.keep.iterdir()):
        parser.error(f"{asked.keep} is not empty; give a directory that is new")
    short = {"seconds": 8.0, "steps": 5000, "cuts": 60, "drains": 1, "kills": 10, "deaths_seconds": 10.0}
    full = {"seconds": 100.0, "steps": 50000, "cuts": 200, "drains": 4, "kills": 40, "deaths_seconds": 60.0}
    defaults = short if asked.short else full
    given = {
        name: default if getattr(asked, name) is None else getattr(asked, name) for name, default in defaults.items()
    }
    seed = secrets.randbits(32) if asked.seed is None else asked.seed
    limit_s = 10 * max(given["seconds"], 10.0) if asked.limit is None else asked.limit
    plan = Plan(
        seed, given["seconds"], int(given["steps"]), int(given["cuts"]), int(given["drains"]), limit_s, asked.workers
    )
    return _Asked(plan, Mortality(seed, given["deaths_seconds"], int(given["kills"]), asked.workers), asked.keep)


if __name__ == "__main__":
    sys.exit(main())
