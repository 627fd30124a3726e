"""Programs that try to get out: at each level, what it claims holds, and rlimits claims no more than it keeps."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.sandbox.playing import DEADLINE_S, Stage, play, python, sandbox_at

from openenv.sandbox import Guarantee, Level, Limits, Sandbox

pytestmark = pytest.mark.e2e
MIB = 1024 * 1024

# Says what became of an attempt: "done" or the name of the error.
TRY = """
import ctypes, os, socket, sys
def attempt(body):
    try:
        print("done", body() or "", flush=True)
    except BaseException as error:
        print(type(error).__name__, getattr(error, "errno", ""), flush=True)
libc = ctypes.CDLL(None, use_errno=True)
def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result
"""
# Those of the ctypes module that -S leaves out are in the standard library: nothing of site-packages is used.


@pytest.fixture(params=list(Level), ids=lambda level: level.value)
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return sandbox_at(request.param)


@pytest.fixture
def contained(sandbox: Sandbox) -> Sandbox:
    """A sandbox that claims everything; its level is skipped where it does not."""
    if sandbox.level is Level.RLIMITS:
        pytest.skip("the level does not claim this")
    return sandbox


@pytest.fixture
def secret() -> Iterator[Path]:
    """A file of the host that every user there may read."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        file = Path(directory, "secret")
        file.write_text("hunter2")
        yield file


def tried(sandbox: Sandbox, body: str, **options: object) -> str:
    return play(sandbox, f"{TRY}\nattempt(lambda: {body})", **options).output


def test_what_each_level_claims_is_what_was_seen_to_hold(sandbox: Sandbox) -> None:
    assert sandbox.guarantees == sandbox.level.claims
    without = {Guarantee.NO_NETWORK, Guarantee.NO_HOST_FILES, Guarantee.DISK}
    assert (sandbox.guarantees & without == set()) == (sandbox.level is Level.RLIMITS)


def test_a_file_of_the_host_is_seen_exactly_where_no_host_files_is_not_claimed(sandbox: Sandbox, secret: Path) -> None:
    said = tried(sandbox, f"open({str(secret)!r}).read()")
    assert ("hunter2" in said) == (Guarantee.NO_HOST_FILES not in sandbox.guarantees)


@pytest.mark.parametrize("path", ["/etc/shadow", "/root/.ssh", "/root/.bashrc", "/proc/1/root/etc/shadow"])
def test_private_places_are_closed_at_every_level(sandbox: Sandbox, path: str) -> None:
    assert tried(sandbox, f"open({path!r}).read()").split()[0] in {
        "FileNotFoundError",
        "PermissionError",
        "IsADirectoryError",
    }


@pytest.mark.parametrize("path", ["/usr/bin/x", "/etc/x", "/x", "/dev/x", "/root/x", "/proc/sys/kernel/hostname"])
def test_nothing_is_written_outside(sandbox: Sandbox, path: str) -> None:
    assert tried(sandbox, f"open({path!r}, 'w').write('x')").split()[0] in {
        "OSError",
        "PermissionError",
        "FileNotFoundError",
    }
    if not path.startswith("/proc"):
        assert not os.path.exists(path)


def test_links_out_lead_nowhere_inside_and_are_not_followed_from_outside(contained: Sandbox, secret: Path) -> None:
    code = f"""{TRY}
os.symlink({str(secret)!r}, "out"); os.symlink({str(secret.parent)!r}, "outdir"); os.mkfifo("pipe")
attempt(lambda: open("out").read())
print("ready", flush=True); sys.stdin.read()"""
    ours, theirs = os.pipe()
    try:
        with Stage(contained, python(code), stdin=ours) as stage:
            assert stage.line().startswith("FileNotFoundError")
            assert stage.line() == "ready"
            for path in ("out", "outdir/secret", "pipe"):
                with pytest.raises(OSError):  # noqa: PT011 - which one depends on what it is
                    stage.process.read_file(path)
            for path in ("out", "outdir/new"):
                with pytest.raises(OSError):  # noqa: PT011
                    stage.process.write_file(path, b"x")
    finally:
        os.close(ours)
        os.close(theirs)
    assert secret.read_text() == "hunter2"
    assert os.listdir(secret.parent) == ["secret"]


def test_network_of_the_host_is_reached_exactly_where_no_network_is_not_claimed(sandbox: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        said = tried(sandbox, f"socket.create_connection(('127.0.0.1', {listener.getsockname()[1]}), 5).close()")
    assert said.startswith("done") == (Guarantee.NO_NETWORK not in sandbox.guarantees)


def test_unix_sockets_of_the_host_are_reached_exactly_where_no_network_is_not_claimed(
    sandbox: Sandbox, secret: Path
) -> None:
    for address in (f"{secret.parent}/socket", f"\0openenv-test-{os.getpid()}"):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(address)
            if not address.startswith("\0"):
                os.chmod(address, 0o777)
            listener.listen()
            said = tried(sandbox, f"socket.socket(socket.AF_UNIX).connect({address!r})")
            assert said.startswith("done") == (Guarantee.NO_NETWORK not in sandbox.guarantees), said


def test_a_fork_bomb_stays_within_its_processes(sandbox: Sandbox) -> None:
    code = """
import os
count = 1
reading, writing = os.pipe()
try:
    while count < 400:
        if os.fork() == 0:
            os.close(writing); os.read(reading, 1); os._exit(0)
        count += 1
except OSError:
    pass
print(count)"""
    played = play(sandbox, code, Limits(processes=20))
    if sandbox.level is Level.GVISOR and not played.output.isdecimal():
        assert played.ended.exit_code != 0  # the limit ends its kernel, and the program with it
    else:
        assert 10 <= int(played.output) <= (20 if sandbox.level is not Level.GVISOR else 84)


def test_the_disk_does_not_fill(contained: Sandbox) -> None:
    for place in (".", "/tmp"):
        code = f"""
size = 0
try:
    with open({place!r} + "/big", "wb", buffering=0) as file:
        while size < 64 << 20:
            size += file.write(bytes(1 << 20))
except OSError as error:
    print(error.errno)
print(size >> 20)"""
        said = play(contained, code, Limits(disk_bytes=8 * MIB)).output.split()
        assert said[0] == "28"  # ENOSPC
        assert int(said[1]) <= 8


def test_memory_is_limited(sandbox: Sandbox) -> None:
    code = "import os\nx = bytearray(400 << 20)\nx[::4096] = b'x' * len(x[::4096])\nprint('got it')"
    played = play(sandbox, code, Limits(memory_bytes=200 * MIB))
    assert "got it" not in played.output
    assert played.ended.exit_code != 0


def test_memory_within_the_limit_is_there(sandbox: Sandbox) -> None:
    code = "x = bytearray(100 << 20)\nx[::4096] = b'x' * len(x[::4096])\nprint('got it')"
    assert play(sandbox, code, Limits(memory_bytes=400 * MIB)).output == "got it"


def test_no_process_of_the_host_is_seen(contained: Sandbox) -> None:
    said = play(
        contained, "import os\nprint([open(f'/proc/{n}/cmdline').read() for n in os.listdir('/proc') if n.isdecimal()])"
    )
    assert 1 <= len(eval(said.output)) <= 2  # what holds it together inside, and the program
    assert "pytest" not in said.output


def test_the_first_process_inside_cannot_be_killed_from_inside(contained: Sandbox) -> None:
    if contained.level is Level.GVISOR:
        pytest.skip("under gVisor the program itself is the first process")
    said = play(contained, f"{TRY}\nattempt(lambda: os.kill(1, 9))\nprint('alive')").output
    assert said.endswith("alive")


@pytest.mark.parametrize(
    "call",
    {
        "ptrace": "checked(libc.ptrace(16, os.getppid(), 0, 0))",
        "mount": "checked(libc.mount(b'none', b'/tmp', b'tmpfs', 0, 0))",
        "remount": "checked(libc.mount(b'none', b'/usr', None, 0x1020, 0))",
        "chroot": "os.chroot('/tmp')",
        "setuid": "os.setuid(0)",
        "device": "os.mknod('/tmp/sda', 0o60666, os.makedev(8, 0))",
        "hostname": "socket.sethostname('mine')",
        "network_settings": "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
    }.items(),
    ids=lambda pair: pair[0],
)
def test_calls_for_privileges_are_refused(sandbox: Sandbox, call: tuple[str, str]) -> None:
    said = tried(sandbox, call[1])
    assert not said.startswith("done"), said
    assert "Error" in said


@pytest.mark.parametrize(
    "call",
    {
        "user_namespace": "checked(libc.unshare(0x10000000))",
        "mount_namespace": "checked(libc.unshare(0x00020000))",
        "clone_namespace": "checked(libc.syscall(56, 0x10000011, 0, 0, 0, 0))",
        "keys": "checked(libc.syscall(250, 0, -3, 0))",
        "bpf": "checked(libc.syscall(321, 0, 0, 0))",
        "io_uring": "checked(libc.syscall(425, 1, 0))",
        "userfaultfd": "checked(libc.syscall(323, 0))",
        "new_mounts": "checked(libc.syscall(430, b'tmpfs', 0))",
        "netlink": "socket.socket(16, socket.SOCK_RAW)",
    }.items(),
    ids=lambda pair: pair[0],
)
@pytest.mark.parametrize("level", [Level.NAMESPACES, Level.BUBBLEWRAP], ids=lambda level: level.value)
def test_the_filter_refuses_what_no_program_needs(level: Level, call: tuple[str, str]) -> None:
    if os.uname().machine != "x86_64" and "syscall(" in call[1]:
        pytest.skip("the numbers of calls are those of x86_64")
    assert "Error" in tried(sandbox_at(level), call[1])


def test_set_user_id_programs_give_nothing(sandbox: Sandbox) -> None:
    code = f"{TRY}\nos.execv('/usr/bin/su', ['su', '-c', 'id -u'])"
    assert play(sandbox, code, stdin=None).output.splitlines()[-1:] != ["0"]
    status = play(sandbox, "print(open('/proc/self/status').read())").output
    capabilities = [line.split()[1] for line in status.splitlines() if line.startswith(("CapPrm", "CapEff", "CapBnd"))]
    assert set(capabilities) == {"0000000000000000"}
    assert "NoNewPrivs:\t1" in status or sandbox.level is Level.GVISOR


def test_the_environment_of_the_host_is_not_passed_on(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENENV_TEST_SECRET", "hunter2")
    said = play(sandbox, "import os\nprint(sorted(os.environ))", env={"MINE": "1"}).output
    expected = {"HOME", "LANG", "MINE", "PATH"}
    assert set(eval(said)) - {"LC_CTYPE", "PWD"} == expected
    for place in ("/proc/1/environ", "/proc/self/environ"):
        assert "hunter2" not in tried(sandbox, f"open({place!r}).read()")


def test_open_files_of_the_host_are_not_inherited(sandbox: Sandbox, secret: Path) -> None:
    with open(secret) as file:
        os.set_inheritable(file.fileno(), True)
        said = play(
            sandbox,
            "import os\nd = '/proc/self/fd/'\n"
            "print([os.readlink(d + n) for n in os.listdir(d) if int(n) > 2 and os.path.exists(d + n)])",
        ).output
    assert [path for path in eval(said) if "/proc" not in path and path not in ("/", "")] == []


def test_descriptors_that_are_passed_keep_their_number(sandbox: Sandbox) -> None:
    if sandbox.level is Level.GVISOR:
        pytest.skip("gVisor passes no descriptors")
    reading, writing = os.pipe()
    try:
        assert play(sandbox, f"import os\nos.write({writing}, b'here')", pass_fds=[writing]).ended.exit_code == 0
        assert os.read(reading, 10) == b"here"
    finally:
        os.close(reading)
        os.close(writing)


def test_endless_output_is_the_callers_to_bound(sandbox: Sandbox) -> None:
    with Stage(sandbox, python("import os\nwhile True: os.write(1, b'x' * 65536)")) as stage:
        assert len(stage.rest(max_bytes=10 * MIB)) >= 10 * MIB
        assert stage.process.kill().exit_code == 137
    assert stage.process.wait(DEADLINE_S).exit_code == 137
