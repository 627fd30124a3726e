"""Journals of processes that are killed, and of disks that are really full or read-only."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.unit.record.journals import child, contents

from openenv.record import Answered, Journal

_WRITER = """
import asyncio, os, random, sys
from openenv.record import Answered, Journal
directory, mode, first, seed, segment_bytes = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
rng = random.Random(seed)
async def session(journal, name):
    number = first
    while True:
        size = rng.choice((10, 300, 5_000, 200_000))
        position = journal.append(Answered(name, number, "", "step", b"{}", b"x" * size, 1.0, 0.1, "e"))
        await journal.written(position)
        os.write(1, b"%s %d %d\\n" % (name.encode(), number, size))  # the reply
        number += 1
async def main():
    journal = Journal.open(directory, mode, lambda: 0.0, segment_bytes=segment_bytes)
    await asyncio.gather(*(session(journal, f"s{number}") for number in range(8)))
asyncio.run(main())
"""


@pytest.mark.parametrize("mode", ["relaxed", "durable"])
def test_whatever_was_answered_is_there_after_kill_9(tmp_path: Path, mode: str) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"{seed=}")  # pytest shows it when the test fails
    rng = random.Random(seed)
    answered: dict[tuple[str, int], int] = {}
    first = 0
    for _ in range(4):
        segment_bytes = rng.choice((100_000, 10_000_000))
        process = child(_WRITER, str(tmp_path), mode, str(first), str(rng.randrange(2**32)), str(segment_bytes))
        assert process.stdout is not None
        told = process.stdout.read(rng.randrange(1, 3000))
        process.kill()
        told += process.stdout.read()  # what left before the kill
        process.stdout.close()
        assert process.wait() == -9
        for line in told.splitlines(keepends=True):
            if line.endswith(b"\n"):
                name, number, size = line.split()
                answered[name.decode(), int(number)] = int(size)
                first = max(first, int(number) + 1)
        first += 1  # the last of each may have been written without having been answered
        found = {(one.session, one.id): len(one.reply) for one in contents(tmp_path) if isinstance(one, Answered)}
        assert answered.items() <= found.items()
        assert len(found) <= len(answered) + 8 * 4  # and nothing that was not asked


_FILLER = """
import asyncio, json, os, sys
from openenv.errors import RecordError
from openenv.record import Answered, Journal
size = int(sys.argv[3])
async def main():
    try:
        journal = Journal.open(sys.argv[1], sys.argv[2], lambda: 0.0)
    except RecordError as error:
        print(json.dumps({"written": 0, "error": str(error), "entries": 0, "failed": False}))
        return
    written, error = 0, ""
    for number in range(1000):
        position = journal.append(Answered("s", number, "", "step", b"{}", b"x" * size, 1.0, 0.1, "e"))
        try:
            await journal.written(position)
        except RecordError as failure:
            error = str(failure)
            break
        written += 1
    failed = journal.failure is not None
    entries = sum(isinstance(entry, Answered) for _, entry in Journal.scan(sys.argv[1]))
    print(json.dumps({"written": written, "error": error, "entries": entries, "failed": failed}))
asyncio.run(main())
"""


def filled(*arguments: str, prefix: tuple[str, ...] = ()) -> dict[str, object]:
    process = child(_FILLER, *arguments, prefix=prefix)
    out, _ = process.communicate()
    assert process.returncode == 0
    found: dict[str, object] = json.loads(out)
    return found


@pytest.mark.parametrize("mode", ["relaxed", "durable"])
def test_a_file_that_may_not_grow_fails_the_journal(tmp_path: Path, mode: str) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    code = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, {most}))\n{_FILLER}"
    process = child(code, str(tmp_path), mode, "5000")
    out, _ = process.communicate()
    found = json.loads(out)
    assert "File too large" in found["error"]
    assert found["failed"] is True
    assert 10 <= found["written"] == found["entries"] < 20
    assert len(list(Journal.scan(tmp_path))) == found["written"] + 1  # with Began; no torn end


def mounting(options: str, directory: Path, kind: str = "tmpfs") -> tuple[str, ...]:
    """What runs a command with a file system of its own at the directory, which nobody else sees."""
    mount = f"mount -t {kind} -o {options} none '{directory}' && exec \"$@\""
    prefix = ("unshare", "-m", "sh", "-c", mount, "sh")
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("mounting a file system needs root and unshare")
    if subprocess.run([*prefix, "true"], capture_output=True).returncode != 0:
        pytest.skip("mounting a file system is not allowed here")
    return prefix


@pytest.mark.parametrize("size", ["500", "5000"])
@pytest.mark.parametrize("mode", ["relaxed", "durable"])
def test_a_full_disk_fails_the_journal(tmp_path: Path, mode: str, size: str) -> None:
    found = filled(str(tmp_path), mode, size, prefix=mounting("size=300k", tmp_path))
    assert "No space left on device" in str(found["error"])
    assert found["failed"] is True
    assert found["written"] == found["entries"] != 0


def test_a_file_system_that_reserves_nothing_is_written_to(tmp_path: Path) -> None:
    found = filled(str(tmp_path), "relaxed", "500", prefix=mounting("mode=700", tmp_path, "ramfs"))
    assert found == {"written": 1000, "error": "", "entries": 1000, "failed": False}


@pytest.mark.parametrize("below", ["", "journal"])
def test_a_read_only_disk_is_told_at_the_start(tmp_path: Path, below: str) -> None:
    found = filled(str(tmp_path / below), "relaxed", "500", prefix=mounting("ro", tmp_path))
    assert "Read-only file system" in str(found["error"])
    assert "name another directory" in str(found["error"])
