"""Code that does harm, by mistake or not: it is told so, and the next step works."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openenv_coding import CodingAction, CodingObservation
from openenv_coding.server.environment import CodingEnvironment

Run = Callable[..., CodingObservation]
Make = Callable[..., CodingEnvironment]
MIB = 1024 * 1024


def goes_on(run: Run) -> None:
    """The next steps work: they compute, write, and keep variables."""
    seen = run("kept = 6\nprint('here')\nkept * 7")
    assert (seen.value, seen.stdout, seen.exit_code, seen.restarted) == ("42", "here\n", 0, False)
    again = run("kept")
    assert (again.value, again.stdout, again.stderr) == ("6", "", "")


KEPT = {
    "input": ("input()", 1, "EOFError: EOF when reading a line"),
    "recursion": ("def f(): return f()\nf()", 1, "RecursionError: maximum recursion depth exceeded"),
    "syntax": ("x = (", 1, "SyntaxError: '(' was never closed"),
    "null bytes": ("x = 1\0", 1, "null bytes"),
    "deep nesting": ("(" * 100_000 + ")" * 100_000, 1, "too many nested parentheses"),
    "a repr that raises": ("class A:\n    def __repr__(self): raise ValueError('no')\nA()", 1, "ValueError: no"),
    "a repr that is no text": ("class A:\n    def __repr__(self): return 5\nA()", 1, "TypeError"),
    "a repr that exits": ("class A:\n    def __repr__(self): raise SystemExit(4)\nA()", 4, ""),
    "streams replaced": ("import sys, io\nsys.stdout = sys.stderr = sys.stdin = io.StringIO()", 0, ""),
    "streams closed": ("import sys\nsys.stdout.close(); sys.stderr.close(); sys.stdin.close()", 0, ""),
    "streams detached": ("import sys\nsys.stdout.detach(); sys.stderr.detach()", 0, ""),
    "streams deleted": ("import sys\ndel sys.stdout, sys.stderr, sys.stdin", 0, ""),
    "descriptors 0 to 2 closed": ("import os\nfor n in range(3): os.close(n)", 0, ""),
    "an error behind closed stderr": ("import os\nos.close(2)\n1 / 0", 1, "ZeroDivisionError"),
    "builtins": ("import builtins\nfor n in 'len open repr isinstance getattr'.split(): delattr(builtins, n)", 0, ""),
    "builtins and an error": (
        "import builtins\nbuiltins.len = builtins.isinstance = None\n1 / 0",
        1,
        "ZeroDivisionError",
    ),
    "modules": (
        "import os, json, traceback\nos.write = os.dup2 = os.read = json.dumps = traceback.TracebackException = None",
        0,
        "",
    ),
    "no modules": ("import sys\nsys.modules.clear()", 0, ""),
    "all signals ignored": ("import signal\nfor n in (2, 15, 1, 13): signal.signal(n, signal.SIG_IGN)", 0, ""),
    "unpicklable": ("lambda: (yield)", 0, ""),
    "atexit": ("import atexit\natexit.register(print, 'late')\nraise SystemExit(0)", 0, ""),
    "trace": ("import sys\nsys.settrace(lambda *a: 1 / 0); sys.setprofile(None)", 1, "ZeroDivisionError"),
    "excepthook": ("import sys\nsys.excepthook = None\n1 / 0", 1, "ZeroDivisionError"),
    "no working directory": ("import shutil, os\nshutil.rmtree(os.getcwd(), ignore_errors=True)", 0, ""),
    "the namespace cleared": ("globals().clear()", 0, ""),
    "source lines gone": ("import linecache\nlinecache.cache = None\n1 / 0", 1, "ZeroDivisionError"),
    "low recursion limit": ("import sys\nsys.setrecursionlimit(60)", 0, ""),
    "a child that comes back": ("import os\nos.fork()", 0, ""),
}


@pytest.mark.parametrize("name", KEPT)
def test_the_interpreter_survives(run: Run, name: str) -> None:
    code, exit_code, stderr = KEPT[name]
    seen = run(code)
    assert (seen.exit_code, seen.restarted) == (exit_code, False), seen
    assert stderr in seen.stderr
    assert "<interpreter>" not in seen.stderr
    goes_on(run)


LOST = {
    "exit": ("import os\nprint('said')\nos._exit(5)", 5, "exit code 5"),
    "segfault": ("import ctypes\nprint('said')\nctypes.string_at(0)", -11, "signal 11"),
    "kill": ("import os\nprint('said')\nos.kill(os.getpid(), 9)", -9, "signal 9"),
    "abort": ("import os\nprint('said')\nos.abort()", -6, "signal 6"),
    "all descriptors closed": ("import os\nprint('said')\nos.closerange(0, 100_000)", 113, "cut the interpreter off"),
    "kill everybody": (
        "import os\nprint('said')\ntry: os.kill(-1, 9)\nfinally: os.kill(os.getpid(), 9)",
        -9,
        "signal 9",
    ),
    "forged answers": (
        "import os\nprint('said')\nfor n in range(3, 1024):\n"
        "    try: os.write(n, b'\\0\\0\\0\\x20' + b'x' * 32)\n    except OSError: pass",
        -9,
        "cut the interpreter off",
    ),
}


@pytest.mark.parametrize("name", LOST)
def test_the_interpreter_is_lost(env: CodingEnvironment, run: Run, name: str) -> None:
    code, exit_code, why = LOST[name]
    assert "no_host_files" in env.state.guarantees, "such code runs in a sandbox alone"
    run("kept = 1\nopen('file', 'w').close()")
    seen = run(code)
    assert (seen.exit_code, seen.restarted, seen.timed_out) == (exit_code, True, False), seen
    assert seen.stdout.startswith("said\n")
    assert why in seen.restart_reason
    assert "variables and files are gone" in seen.restart_reason
    assert run("import os\n'kept' in dir(), os.listdir()").value == "(False, [])"
    goes_on(run)
    assert env.state.restarts == 1


STUBBORN = {
    "a loop that catches interrupts": (
        "import time\nwhile True:\n    try:\n        while True:\n            time.sleep(0.01)\n"
        "    except KeyboardInterrupt:\n        time.sleep(0)"
    ),
    "ignored": "import signal, time\nsignal.signal(2, signal.SIG_IGN)\nwhile True: time.sleep(1)",
    "blocked": "import signal, time\nsignal.pthread_sigmask(0, [2])\nwhile True: time.sleep(1)",
    "stopped": "import os\nos.kill(os.getpid(), 19)",
    "in C": "import itertools\nsum(itertools.repeat(1))",
}


@pytest.mark.parametrize("name", STUBBORN)
def test_what_does_not_stop_is_killed(run: Run, name: str, level: str) -> None:
    if (name, level) == ("stopped", "gvisor"):
        pytest.skip("gVisor's own processes go on, which is the next case")
    seen = run(STUBBORN[name], timeout_s=0.2)
    assert (seen.exit_code, seen.timed_out, seen.restarted) == (-9, True, True), seen
    assert "after an interrupt" in seen.restart_reason
    goes_on(run)


def test_a_gigabyte_of_output(run: Run) -> None:
    seen = run("import os\nleft = 2**30\nwhile left: left -= os.write(1, bytes(min(left, 2**20)))", timeout_s=100)
    assert (seen.stdout_bytes, seen.exit_code, seen.stdout_truncated) == (2**30, 0, True)
    assert len(seen.stdout) < 70_000
    goes_on(run)


def test_output_without_end(run: Run) -> None:
    seen = run("while True: print('x' * 10_000)", timeout_s=0.3)
    assert (seen.timed_out, seen.restarted, seen.stdout_truncated) == (True, False, True)
    goes_on(run)


def test_bytes_that_are_no_text(run: Run) -> None:
    seen = run("import os\nos.write(1, b'\\xff\\xfe ok \\x00\\xc3')\nprint('\\ud800')\n'\\ud800'")
    assert (seen.stdout, seen.value, seen.exit_code) == ("\ufffd\ufffd ok \x00\ufffd\\ud800\n", "'\\ud800'", 0)
    assert CodingObservation.model_validate_json(seen.model_dump_json()) == seen
    goes_on(run)


def test_a_megabyte_of_code(run: Run) -> None:
    assert run("x = '" + "a" * MIB + "'\nlen(x)").value == str(MIB)
    assert run("y = 1\n" * (MIB // 6) + "y", timeout_s=100).value == "1"
    goes_on(run)


def test_a_huge_value(run: Run) -> None:
    seen = run("'v' * 50_000_000")
    assert (seen.value_truncated, seen.value_chars) == (True, 50_000_002)
    goes_on(run)


def test_a_fork_bomb(make: Make) -> None:
    env = make(processes=20, memory_bytes=256 * MIB)

    def run(code: str, **fields: Any) -> CodingObservation:
        return env.step(CodingAction(code=code, **fields))

    assert "processes" in env.state.guarantees, "such code runs in a sandbox alone"
    seen = run("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass", timeout_s=0.5)
    assert seen.timed_out or seen.restarted  # gVisor counts its own threads too and may be killed for them
    if not seen.restarted:
        env.step(CodingAction(operation="restart"))
    goes_on(run)


def test_the_disk_is_filled(make: Make) -> None:
    env = make(disk_bytes=4 * MIB)
    code = "with open('big', 'wb', 0) as file:\n    for _ in range(64): file.write(b'x' * 2**20)"
    seen = env.step(CodingAction(code=code))
    assert seen.exit_code == 1
    assert "No space left on device" in seen.stderr
    goes_on(lambda code: env.step(CodingAction(code=code)))


def test_memory_is_filled(make: Make) -> None:
    env = make(memory_bytes=128 * MIB)
    seen = env.step(CodingAction(code="x = []\nwhile True: x.append(bytearray(2**20))", timeout_s=60))
    assert not seen.timed_out
    assert "MemoryError" in seen.stderr or seen.exit_code == -9, seen
    if seen.restarted:
        env.step(CodingAction(code="1"))
    else:
        env.step(CodingAction(code="del x"))
    goes_on(lambda code: env.step(CodingAction(code=code)))


def test_nothing_of_the_host_is_there(run: Run, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    secret.chmod(0o644)
    for place in (str(secret), "/etc/shadow", "/root/.ssh", f"/proc/{os.getpid()}/environ"):
        seen = run(f"import os\nos.symlink({place!r}, 'link{len(place)}')\nopen('link{len(place)}').read()")
        assert seen.exit_code == 1, place
        assert "FileNotFoundError" in seen.stderr or "PermissionError" in seen.stderr
    goes_on(run)


def test_no_socket_leads_out(run: Run) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        seen = run(f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 2)")
        assert seen.exit_code == 1
        assert "OSError" in seen.stderr or "ConnectionRefusedError" in seen.stderr
    goes_on(run)


def test_the_parent_is_killed(env: CodingEnvironment, run: Run) -> None:
    assert "no_host_files" in env.state.guarantees, "such code runs in a sandbox alone"
    seen = run("import os\ntry: os.kill(os.getppid(), 9)\nexcept OSError: pass")
    if seen.restarted:  # it may kill what holds its own sandbox together
        run("")
    goes_on(run)


def test_threads_print_later(run: Run) -> None:
    code = "import threading\ngo = threading.Event()\ndef late():\n    go.wait(); print('late'); told.set()\n"
    run(code + "told = threading.Event()\nthread = threading.Thread(target=late)\nthread.start()\nprint('now')")
    assert run("go.set(); told.wait(); print('next')").stdout == "late\nnext\n"
    run("thread.join()")
    goes_on(run)


def test_threads_that_never_stop_printing(run: Run) -> None:
    code = "import threading, os\ndef flood():\n    while on: os.write(1, b'x' * 4096)\non = True\n"
    run(code + "thread = threading.Thread(target=flood)\nthread.start()")
    assert run("1 + 1").value == "2"
    run("on = False\nthread.join()")
    goes_on(run)


def test_a_spare_that_was_killed_is_replaced(make: Make) -> None:
    env = make()
    before = env.step(CodingAction(code="1"))
    assert before.value == "1"
    for _ in range(3):
        env.step(CodingAction(code="import os\nos._exit(1)"))
        goes_on(lambda code: env.step(CodingAction(code=code)))
