"""How much a program in a sandbox may take."""

from __future__ import annotations

from dataclasses import dataclass, fields

from openenv.errors import ConfigurationError

__all__ = ["Limits"]

MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """What one program, with everything that it starts, may take.

    Attributes:
        memory_bytes: Memory in bytes, files in the working and temporary directory included where a control group
            can be made; without one, address space of each process.
        processes: Processes and threads at a time, the program itself included.
        disk_bytes: Size of the working directory, and of the temporary one, in bytes.
        open_files: Open files a process.
        cpu_s: Processor seconds a process; ``None`` sets no limit. How long it may take is the caller's to watch.

    Raises:
        ConfigurationError: A limit is below 1.
    """

    memory_bytes: int = 512 * MIB
    processes: int = 64
    disk_bytes: int = 64 * MIB
    open_files: int = 256
    cpu_s: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ConfigurationError(f"limit {field.name} must be a whole number of at least 1, not {value!r}")
