"""A child process that misbehaves while it starts or stops is told as what it did, and does not stay."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from openenv.errors import ActionInvalid, FactoryFailed, OpenEnvError, RuntimeFailure
from openenv.runtime import EmbeddedRuntime
from openenv.runtime.lifeline import read_report

LISTENS = "lifeline.report_ready('http://here')\n    "


@pytest.fixture
def runtime_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Makes a runtime whose child runs a few lines; it leaves its process id in a file."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(lines: str, **options: float) -> EmbeddedRuntime:
        (tmp_path / "a_child.py").write_text(
            "import os, signal, sys, threading\nfrom openenv.runtime import Lifeline\n\n\ndef main():\n"
            f"    open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n"
            f"    lifeline = Lifeline(int(sys.argv[1]), int(sys.argv[2]))\n"
            f"    arguments = lifeline.receive()\n    {lines}\n",
            encoding="utf-8",
        )
        return EmbeddedRuntime("a_child", {"x": [1]}, name="it", **options)

    return make


def gone(tmp_path: Path) -> bool:
    """Whether the child of the last start has ended and been waited for."""
    pid = int((tmp_path / "pid").read_text(encoding="utf-8"))
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("return 4", "ended with exit code 4 before it was listening"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "was killed by SIGSEGV"),
        ("lifeline._socket.sendall(b'no json\\n'); threading.Event().wait()", "cannot be read"),
        ("lifeline._socket.sendall(b'[1]\\n'); threading.Event().wait()", "cannot be read"),
        ("lifeline._socket.sendall(b'x' * 2**21)", "reports without end"),
        ("lifeline._socket.close(); threading.Event().wait()", "hung up before it was listening"),
    ],
)
def test_a_child_that_does_not_listen_is_a_failure(runtime_of, tmp_path: Path, lines: str, says: str) -> None:
    with pytest.raises(RuntimeFailure, match=says):
        runtime_of(lines).start()
    assert gone(tmp_path)


def test_a_child_that_says_nothing_is_ended(runtime_of, tmp_path: Path) -> None:
    with pytest.raises(RuntimeFailure, match=r"not listening after 1 s; .*start_timeout_s"):
        runtime_of("threading.Event().wait()", start_timeout_s=1.0).start()
    assert gone(tmp_path)


def test_a_reported_error_is_raised_as_its_class(runtime_of, tmp_path: Path) -> None:
    report = "lifeline.report_error(FactoryFailed('because', details={'a': 1}))"
    with pytest.raises(FactoryFailed, match="because") as raised:
        runtime_of(f"from openenv.errors import FactoryFailed; {report}").start()
    assert raised.value.details == {"a": 1}
    assert gone(tmp_path)


def test_closing_is_seen_by_the_child(runtime_of, tmp_path: Path) -> None:
    waits = "end = threading.Event(); lifeline.watch(end.set, 10**6); end.wait()"
    server = runtime_of(LISTENS + waits, stop_timeout_s=10**6).start()
    assert server.url == "http://here"
    assert server.pid == int((tmp_path / "pid").read_text(encoding="utf-8"))
    server.close()
    assert gone(tmp_path)
    server.close()


def test_a_child_that_does_not_heed_is_terminated(runtime_of, tmp_path: Path) -> None:
    runtime_of(LISTENS + "threading.Event().wait()", stop_timeout_s=0.0).start().close()
    assert gone(tmp_path)


def test_a_child_that_heeds_nothing_is_killed_with_what_it_started(runtime_of, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "alive")
    lines = (
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    "
        f"kept = open({str(tmp_path / 'alive')!r}, 'w')\n    "  # held open for as long as one of them lives
        "os.fork() and lifeline.report_ready('http://here')\n    "
        "threading.Event().wait()"
    )
    reader = os.open(tmp_path / "alive", os.O_RDONLY | os.O_NONBLOCK)
    try:
        server = runtime_of(lines, stop_timeout_s=0.0).start()
        server.close()
        assert gone(tmp_path)
        poller = select.poll()
        poller.register(reader, 0)
        assert poller.poll(30_000), "a process that it started lives on"
    finally:
        os.close(reader)


@pytest.mark.parametrize("drained", [False, True])
def test_what_an_ended_child_left_behind_ends_with_it(runtime_of, tmp_path: Path, drained: bool) -> None:
    os.mkfifo(tmp_path / "alive")
    lines = (
        "signal.signal(signal.SIGTERM, lambda *_: os._exit(0))\n    "
        f"kept = open({str(tmp_path / 'alive')!r}, 'w')\n    "
        "os.fork() and lifeline.report_ready('http://here')\n    "
        "threading.Event().wait()"
    )
    reader = os.open(tmp_path / "alive", os.O_RDONLY | os.O_NONBLOCK)
    try:
        server = runtime_of(lines).start()
        if drained:
            server.drain(60.0)
        else:
            os.kill(server.pid, signal.SIGKILL)
        assert server.wait() == (0 if drained else -signal.SIGKILL)
        poller = select.poll()
        poller.register(reader, 0)
        assert poller.poll(30_000), "a process that it started lives on, and may hold its sockets"
    finally:
        os.close(reader)


def test_a_child_that_two_drain_is_asked_once(runtime_of) -> None:
    lines = (
        "asked = threading.Semaphore(0)\n    "
        "signal.signal(signal.SIGTERM, lambda *_: asked.release())\n    " + LISTENS + "asked.acquire()\n    "
        "os._exit(7 if asked.acquire(timeout=0.5) else 0)"
    )
    server = runtime_of(lines).start()
    with ThreadPoolExecutor(2) as threads:
        for drained in [threads.submit(server.drain, 60.0) for _ in range(2)]:
            drained.result()
    assert server.wait() == 0


def test_a_child_that_is_let_go_and_stays_kills_itself(runtime_of, tmp_path: Path) -> None:
    lines = LISTENS + "lifeline.watch(lambda: None, 0.0); threading.Event().wait()"
    runtime_of(lines, stop_timeout_s=10**6).start().close()
    assert gone(tmp_path)


def test_the_lifeline_is_not_passed_on(runtime_of) -> None:
    report = "lifeline.report_ready(str(os.get_inheritable(int(sys.argv[1])))); threading.Event().wait()"
    server = runtime_of(report, stop_timeout_s=0.0).start()
    server.close()
    assert server.url == "False"


def test_arguments_are_not_in_its_command_line(runtime_of) -> None:
    report = "lifeline.report_ready(str((arguments, open('/proc/self/cmdline').read().count('\"x\"'))))"
    server = runtime_of(f"{report}; threading.Event().wait()", stop_timeout_s=0.0).start()
    server.close()
    assert server.url == "({'x': [1]}, 0)"


def test_standard_output_stays_ours(runtime_of, capfd: pytest.CaptureFixture[str]) -> None:
    runtime_of(
        "print('chatter', flush=True); " + LISTENS + "threading.Event().wait()", stop_timeout_s=0.0
    ).start().close()
    out, err = capfd.readouterr()
    assert "chatter" not in out
    assert "chatter" in err


WATCHES = """
import os, socket, sys, threading
from openenv.runtime import Lifeline
ours, theirs = socket.socketpair()
lifeline = Lifeline(theirs.detach(), int(sys.argv[1]))
lifeline.watch(lambda: os._exit(42), 60)
threading.Event().wait()
"""


@pytest.mark.parametrize("stranger", [1, 2**22 - 1])  # one that lives, one that does not
def test_a_parent_that_is_gone_already_is_seen(stranger: int) -> None:
    assert subprocess.run([sys.executable, "-c", WATCHES, str(stranger)], timeout=30).returncode == 42


def test_an_error_that_json_cannot_carry_keeps_its_message(runtime_of) -> None:
    report = "lifeline.report_error(ActionInvalid('why', details={'value': object()}))"
    with pytest.raises(ActionInvalid, match="why") as raised:
        runtime_of(f"from openenv.errors import ActionInvalid; {report}").start()
    assert raised.value.details == {}


def test_a_report_of_an_unknown_error_is_still_ours() -> None:
    with pytest.raises(OpenEnvError, match="LATER: x"):
        read_report(b'{"code": "LATER", "message": "x", "details": {}}')


def test_the_signal_of_a_terminal_does_not_reach_it(runtime_of) -> None:
    server = runtime_of("lifeline.report_ready(str(os.getsid(0) == os.getpid())); threading.Event().wait()").start()
    try:
        assert server.url == "True"
    finally:
        os.kill(server.pid, signal.SIGKILL)
        server.close()


def test_a_copy_in_another_process_stops_nothing(runtime_of, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = runtime_of(LISTENS + "end = threading.Event(); lifeline.watch(end.set, 60); end.wait()").start()
    try:
        with monkeypatch.context() as fork:
            fork.setattr(os, "getpid", lambda: 1)
            server.close()  # would wait for the child's end
        assert not gone(tmp_path)
    finally:
        os.kill(server.pid, signal.SIGKILL)
        os.waitpid(server.pid, 0)


def test_two_children_do_not_hold_each_other_s_lifeline(runtime_of, tmp_path: Path) -> None:
    waits = LISTENS + "end = threading.Event(); lifeline.watch(end.set, 60); end.wait()"
    first, second = runtime_of(waits).start(), runtime_of(waits).start()
    first.close()
    assert not gone(tmp_path)
    second.close()
    assert gone(tmp_path)
