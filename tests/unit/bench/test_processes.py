"""What /proc says of a process and its children."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from bench.processes import cpu_s, tree, usage

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc, which only Linux has")

# A parent with one living child and one that ended after a while of work; says so, then waits for its end of input.
FAMILY = """
import subprocess, sys, time
work = "import time\\nwhile time.process_time() < 0.2: pass"
subprocess.run([sys.executable, "-c", work], check=True)
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
print(child.pid, flush=True)
sys.stdin.read()
child.communicate(b"\\n")
"""


@pytest.fixture
def family() -> Iterator[tuple[int, int]]:
    command = [sys.executable, "-c", FAMILY]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        yield parent.pid, int(parent.stdout.readline())
        parent.communicate()


def test_a_tree_has_its_children(family: tuple[int, int]) -> None:
    parent, child = family
    assert tree(parent) == [parent, child]
    assert child in tree(os.getpid())
    assert tree(child) == [child]


def test_children_count_also_when_they_have_ended(family: tuple[int, int]) -> None:
    parent, child = family
    assert cpu_s(parent) >= 0.2 + cpu_s(child)
    assert cpu_s(child) > 0


def test_memory_and_threads_are_summed(family: tuple[int, int]) -> None:
    parent, child = family
    assert usage(parent).threads == 2
    assert usage(child).threads == 1
    assert usage(parent).memory_mib > usage(child).memory_mib > 0


def test_a_process_that_is_gone_uses_nothing() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert cpu_s(gone.pid) == 0
    assert (usage(gone.pid).memory_mib, usage(gone.pid).threads) == (0, 0)
