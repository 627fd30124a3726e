"""Keeps the credentials of an environment out of everything that leaves it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

import msgspec

from openenv.errors import OpenEnvError

if TYPE_CHECKING:
    from openenv.environment import Credentials
    from openenv.tools import Note

__all__ = ["Discretion"]

T = TypeVar("T")
FailureT = TypeVar("FailureT", bound=OpenEnvError)


class Discretion:
    """Takes credentials out of values, errors and notes.

    Args:
        credentials: Their values, by name.

    Attributes:
        credentials: The same as the environment gets them.
    """

    def __init__(self, credentials: Mapping[str, str]) -> None:
        from openenv.environment import Credentials  # here: most environments have none

        self.credentials: Credentials = Credentials(credentials)

    def value(self, value: T) -> T:
        """The value with ``[NAME]`` in the place of each credential."""
        cleaned: T = self.credentials.redacted(value)
        return cleaned

    def error(self, error: FailureT) -> FailureT:
        """The error with the same."""
        message, details = self.value(error.message), self.value(error.details)
        if message == error.message and details == error.details:
            return error
        return type(error)(message, details=details)

    def note(self, note: Note) -> Note:
        """The note with the same."""
        return msgspec.structs.replace(note, **self.value(msgspec.structs.asdict(note)))
