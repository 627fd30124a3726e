"""The filter of system calls, run by a small interpreter of the kernel's packet filter machine."""

from __future__ import annotations

import errno
import struct

import pytest

from openenv.sandbox.seccomp import seccomp_program

ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def answer(machine: str, number: int, *arguments: int, architecture: int | None = None) -> int:
    """What the filter says to a call."""
    program = list(struct.iter_unpack("HBBI", seccomp_program(machine)))
    data = struct.pack(
        "IIQ6Q", number, architecture or ARCHITECTURE[machine], 0, *arguments, *[0] * (6 - len(arguments))
    )
    at, word = 0, 0
    while True:
        code, if_true, if_false, operand = program[at]
        at += 1
        match code:
            case 0x20:
                word = struct.unpack_from("I", data, operand)[0]
            case 0x06:
                return operand
            case 0x15:
                at += if_true if word == operand else if_false
            case 0x35:
                at += if_true if word >= operand else if_false
            case 0x45:
                at += if_true if word & operand else if_false
            case _:
                raise AssertionError(f"unknown instruction {code:#x}")


CASES = [
    ("read", 0, 63, (), ALLOW),
    ("execve", 59, 221, (), ALLOW),
    ("mount", 165, 40, (), ERRNO | errno.EPERM),
    ("ptrace", 101, 117, (), ERRNO | errno.EPERM),
    ("bpf", 321, 280, (), ERRNO | errno.EPERM),
    ("setns", 308, 268, (), ERRNO | errno.EPERM),
    ("io_uring_setup", 425, 425, (), ERRNO | errno.EPERM),
    ("clone3", 435, 435, (), ERRNO | errno.ENOSYS),
    ("clone as fork does", 56, 220, (0x01200011,), ALLOW),
    ("clone with a user namespace", 56, 220, (0x10000011,), ERRNO | errno.EPERM),
    ("unshare of files", 272, 97, (0x400,), ALLOW),
    ("unshare of time", 272, 97, (0x80,), ERRNO | errno.EPERM),
    ("ioctl TCGETS", 16, 29, (0, 0x5401), ALLOW),
    ("ioctl TIOCSTI", 16, 29, (0, 0x5412), ERRNO | errno.EPERM),
    ("ioctl TIOCSTI, upper half set", 16, 29, (0, 1 << 32 | 0x5412), ERRNO | errno.EPERM),
    ("socket AF_UNIX", 41, 198, (1,), ALLOW),
    ("socket AF_INET6", 41, 198, (10,), ALLOW),
    ("socket AF_NETLINK", 41, 198, (16,), ERRNO | errno.EAFNOSUPPORT),
    ("socketpair AF_UNIX", 53, 199, (1,), ALLOW),
    ("socketpair AF_VSOCK", 53, 199, (40,), ERRNO | errno.EAFNOSUPPORT),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
@pytest.mark.parametrize("machine", ARCHITECTURE)
def test_each_call_gets_its_answer(machine: str, case: tuple[str, int, int, tuple[int, ...], int]) -> None:
    _, x86_64, aarch64, arguments, expected = case
    assert answer(machine, x86_64 if machine == "x86_64" else aarch64, *arguments) == expected


@pytest.mark.parametrize("machine", ARCHITECTURE)
def test_calls_of_another_architecture_end_the_program(machine: str) -> None:
    assert answer(machine, 0, architecture=0x40000003) == KILL


def test_the_second_numbering_of_x86_64_is_no_way_around() -> None:
    assert answer("x86_64", 0x40000000 | 165) == ERRNO | errno.ENOSYS
    assert answer("x86_64", 0x40000000) == ERRNO | errno.ENOSYS


def test_a_machine_without_a_table_is_refused() -> None:
    with pytest.raises((KeyError, ValueError)):
        seccomp_program("m68k")
