"""The filter of system calls, as a program for the kernel's packet filter machine.

It is the second wall, behind namespaces and the missing capabilities: what no ordinary program needs and where the
kernel has most often been broken from is answered with EPERM. Formats: include/uapi/linux/filter.h, seccomp.h and
audit.h; numbers: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h of Linux 6.
"""

from __future__ import annotations

import errno
import struct

__all__ = ["seccomp_program"]

# Instructions: load a word of the call's description; compare; mask; answer.
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
# struct seccomp_data: int nr; __u32 arch; __u64 instruction_pointer; __u64 args[6]
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16

_ALLOW = 0x7FFF0000
_KILL_PROCESS = 0x80000000
_ERRNO = 0x00050000

_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32 = 0x40000000  # a second numbering of x86_64 that would pass by the table

_NEW_NAMESPACES = 0x7E020000  # every CLONE_NEW… that clone takes
_NEW_NAMESPACES_OR_TIME = _NEW_NAMESPACES | 0x80  # unshare takes CLONE_NEWTIME too; to clone these bits are a signal
_TERMINAL_INPUT = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX: type into the terminal for whoever reads it next
_FAMILIES = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6

# x86_64, aarch64 (None: it has no such call).
_SHARED: dict[str, tuple[int | None, int | None]] = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioperm": (173, None),
    "iopl": (172, None),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "lookup_dcookie": (212, 18),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "open_tree_attr": (467, 467),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "userfaultfd": (323, 282),
    "vhangup": (153, 58),
}
_CLONE3 = 435
_LOOKED_INTO = {
    "x86_64": {"clone": 56, "unshare": 272, "ioctl": 16, "socket": 41, "socketpair": 53},
    "aarch64": {"clone": 220, "unshare": 97, "ioctl": 29, "socket": 198, "socketpair": 199},
}


def _instruction(code: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, operand)


def _refuse(number: int) -> bytes:
    return _instruction(_RETURN, _ERRNO | number)


def _argument(index: int) -> bytes:
    """Load the lower half of an argument; the kernel looks at no more of those asked about here."""
    return _instruction(_LOAD, _ARGUMENTS + 8 * index)


def _for_call(number: int, *body: bytes) -> bytes:
    """What to do for one system call; for others it is skipped."""
    return _instruction(_EQUAL, number, 0, len(body)) + b"".join(body)


def seccomp_program(machine: str) -> bytes:
    """The filter for a machine.

    Args:
        machine: ``x86_64`` or ``aarch64``, as ``os.uname().machine`` says.

    Returns:
        An array of ``struct sock_filter``: what ``bwrap --seccomp`` reads, and prctl(2) takes.

    Raises:
        KeyError: There is no table for the machine.
    """
    column = list(_AUDIT).index(machine)
    looked_into = _LOOKED_INTO[machine]
    allow = _instruction(_RETURN, _ALLOW)
    parts = [
        _instruction(_LOAD, _ARCHITECTURE),
        _instruction(_EQUAL, _AUDIT[machine], 1, 0),
        _instruction(_RETURN, _KILL_PROCESS),
        _instruction(_LOAD, _NUMBER),
    ]
    if machine == "x86_64":
        parts += [_instruction(_AT_LEAST, _X32, 0, 1), _refuse(errno.ENOSYS)]
    for numbers in _SHARED.values():
        number = numbers[column]
        if number is not None:
            parts.append(_for_call(number, _refuse(errno.EPERM)))
    # Its flags are behind a pointer, where no filter can look; the C library then falls back to clone.
    parts.append(_for_call(_CLONE3, _refuse(errno.ENOSYS)))
    for call, bits in (("clone", _NEW_NAMESPACES), ("unshare", _NEW_NAMESPACES_OR_TIME)):
        body = (_argument(0), _instruction(_ANY_BIT, bits, 0, 1), _refuse(errno.EPERM), allow)
        parts.append(_for_call(looked_into[call], *body))
    requests = [part for request in _TERMINAL_INPUT for part in (_for_equal(request), _refuse(errno.EPERM))]
    parts.append(_for_call(looked_into["ioctl"], _argument(1), *requests, allow))
    for call in ("socket", "socketpair"):
        families = [part for family in _FAMILIES for part in (_for_equal(family), allow)]
        parts.append(_for_call(looked_into[call], _argument(0), *families, _refuse(errno.EAFNOSUPPORT)))
    return b"".join([*parts, allow])


def _for_equal(operand: int) -> bytes:
    """Go on with the next instruction if the loaded word is this, else skip it."""
    return _instruction(_EQUAL, operand, 0, 1)
