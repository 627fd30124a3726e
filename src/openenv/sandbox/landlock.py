"""Landlock: a rule of this process's own about files, behind the walls that the mounts are.

Source: include/uapi/linux/landlock.h and Documentation/userspace-api/landlock.rst of Linux 6.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable

from openenv.sandbox.kernel import syscall

__all__ = ["restrict_files"]

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1
_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_SEE = _EXECUTE | _READ_FILE | _READ_DIR
_TRUNCATE = 1 << 14
_RIGHTS_OF_VERSION = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1}  # 5 adds ioctl on devices, left free
_SCOPES = 0b11  # abstract UNIX sockets and signals stay among those under this rule; version 6


def restrict_files(writable: Iterable[str], devices: Iterable[str]) -> int:
    """Let this process and all that it starts see everything beneath the root, and change only what is listed.

    What lies outside this process's root cannot be reached even through a descriptor of a directory there.

    Args:
        writable: Directories in which everything is allowed.
        devices: Files that may be written to.

    Returns:
        The version of Landlock in force, 0 where the kernel has none.
    """
    try:
        version = syscall("landlock_create_ruleset", _CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(_VERSION))
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EOPNOTSUPP):
            return 0
        raise
    rights = _RIGHTS_OF_VERSION[min(version, 3)]
    attributes = struct.pack("QQQ", rights, 0, _SCOPES) if version >= 6 else struct.pack("Q", rights)
    ruleset = syscall(
        "landlock_create_ruleset",
        _CREATE_RULESET,
        attributes,
        ctypes.c_size_t(len(attributes)),
        ctypes.c_uint(0),
    )
    try:
        _allow(ruleset, "/", _SEE)
        for path in writable:
            _allow(ruleset, path, rights)
        for path in devices:
            _allow(ruleset, path, (_WRITE_FILE | _READ_FILE | _TRUNCATE) & rights)
        syscall("landlock_restrict_self", _RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint(0))
    finally:
        os.close(ruleset)
    return version


def _allow(ruleset: int, path: str, rights: int) -> None:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", rights, place)
        syscall(
            "landlock_add_rule",
            _ADD_RULE,
            ctypes.c_int(ruleset),
            ctypes.c_int(_PATH_BENEATH),
            rule,
            ctypes.c_uint(0),
        )
    finally:
        os.close(place)
