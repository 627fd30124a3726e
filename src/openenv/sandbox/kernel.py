"""The system calls of a sandbox that Python's standard library does not have.

Numbers and flags: Linux' include/uapi headers (sched.h, mount.h, prctl.h, capability.h, asm-generic/unistd.h).
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct

__all__ = [
    "CLONE_NEWCGROUP",
    "CLONE_NEWIPC",
    "CLONE_NEWNET",
    "CLONE_NEWNS",
    "CLONE_NEWPID",
    "CLONE_NEWUSER",
    "CLONE_NEWUTS",
    "MNT_DETACH",
    "MS_BIND",
    "MS_NODEV",
    "MS_NOEXEC",
    "MS_NOSUID",
    "MS_PRIVATE",
    "MS_RDONLY",
    "MS_REC",
    "MS_REMOUNT",
    "PR_SET_CHILD_SUBREAPER",
    "PR_SET_DUMPABLE",
    "PR_SET_PDEATHSIG",
    "drop_capabilities",
    "effective_capability",
    "load_seccomp",
    "loopback_up",
    "make_read_only",
    "mount",
    "no_new_privileges",
    "pivot_root",
    "prctl",
    "syscall",
    "unmount",
    "unshare",
]

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MNT_DETACH = 0x2

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
SECCOMP_MODE_FILTER = 2

_CAPABILITY_VERSION_3 = 0x20080522
_LAST_CAPABILITY = 63  # of what the format can hold; the kernel refuses those that it does not know

# The same on every architecture: calls newer than 424 are numbered for all at once.
_SYS_MOUNT_SETATTR = 442
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_AT_RECURSIVE = 0x8000
_AT_FDCWD = -100
_MOUNT_ATTR_RDONLY = 0x1
_MOUNT_ATTR_NOSUID = 0x2
_MOUNT_ATTR_NODEV = 0x4

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def syscall(name: str, number: int, *arguments: object) -> int:
    """A system call by number.

    Raises:
        OSError: It failed; the message begins with ``name``.
    """
    return _checked(_libc.syscall(ctypes.c_long(number), *arguments), name)


def unshare(flags: int) -> None:
    """Leave the namespaces named by ``CLONE_NEW…`` flags for new ones."""
    _checked(_libc.unshare(ctypes.c_int(flags)), "unshare")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount ``source`` of file system ``kind`` at ``target``, or change a mount there, as mount(2) does."""
    result = _libc.mount(
        os.fsencode(source), os.fsencode(target), kind.encode() or None, ctypes.c_ulong(flags), data.encode() or None
    )
    _checked(result, f"mount of {kind or source} at {target}")


def unmount(target: str, flags: int = 0) -> None:
    """Take away what is mounted at ``target``."""
    _checked(_libc.umount2(os.fsencode(target), ctypes.c_int(flags)), f"unmount of {target}")


def pivot_root(new_root: str, old_root: str) -> None:
    """Make ``new_root``, a mount, the root, and move the old one to ``old_root`` inside it."""
    number = _SYS_PIVOT_ROOT[os.uname().machine]
    syscall("pivot_root", number, os.fsencode(new_root), os.fsencode(old_root))


def make_read_only(target: str) -> None:
    """Make a mount and all below it read-only, without set-user-id and without devices. Linux 5.12 and later."""
    attributes = struct.pack("QQQQ", _MOUNT_ATTR_RDONLY | _MOUNT_ATTR_NOSUID | _MOUNT_ATTR_NODEV, 0, 0, 0)
    syscall(
        "mount_setattr",
        _SYS_MOUNT_SETATTR,
        ctypes.c_int(_AT_FDCWD),
        os.fsencode(target),
        ctypes.c_uint(_AT_RECURSIVE),
        attributes,
        ctypes.c_size_t(len(attributes)),
    )


def prctl(option: int, value: int, third: int = 0) -> None:
    """Change a property of this process; the remaining arguments are 0."""
    arguments = [ctypes.c_ulong(number) for number in (value, third, 0, 0)]
    _checked(_libc.prctl(ctypes.c_int(option), *arguments), "prctl")


def no_new_privileges() -> None:
    """From here on no program started gains privileges, whatever its file says."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def drop_capabilities(*, bounding_only: bool = False) -> None:
    """Give up every capability for good: the bounding set, as far as allowed, and unless told otherwise the rest."""
    for capability in range(_LAST_CAPABILITY + 1):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:
            break  # past the last one of this kernel, or there is no capability to do so, nor one to lose
    if bounding_only:
        return
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    _checked(_libc.capset(header, b"\0" * 24), "capset")


def effective_capability(number: int) -> bool:
    """Whether this process may use the capability."""
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    sets = ctypes.create_string_buffer(24)
    _checked(_libc.capget(header, sets), "capget")
    low, high = struct.unpack_from("I", sets, 0)[0], struct.unpack_from("I", sets, 12)[0]
    return bool((high << 32 | low) >> number & 1)


def load_seccomp(program: bytes) -> None:
    """Load a filter of system calls for this process and all that it starts; ``no_new_privileges`` comes first."""
    instructions = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(instructions))
    filter_program = ctypes.create_string_buffer(header, len(header))
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(filter_program))


def loopback_up() -> None:
    """Bring up the loopback interface of this network namespace, for programs that talk to themselves."""
    siocsifflags, iff_up = 0x8914, 0x1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, siocsifflags, struct.pack("16sH14x", b"lo", iff_up))
