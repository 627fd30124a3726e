"""Secrets that an environment is given, and how they are kept out of what it tells."""

from __future__ import annotations

import base64
import copy
import dataclasses
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import msgspec
from pydantic import BaseModel

from openenv.errors import ConfigurationError
from openenv.settings import read_secret

__all__ = ["CredentialSource", "Credentials", "read_credentials"]

_SHORTEST = 4
_SHORTEST_PART = 8
"""Characters that a part of an encoded secret must have to be known again; fewer are found by chance."""
_PLAIN = (int, float, complex, type(None))


@dataclass(frozen=True)
class CredentialSource:
    """Where a credential comes from.

    Attributes:
        name: What the environment calls it.
        env: Environment variable that holds it, or whose name with ``_FILE`` names a file that does. ``None``: the one
            of its own name, unless there is a file.
        file: File that holds it; it comes before the variable.
        optional: Whether the environment does without.
    """

    name: str
    env: str | None = None
    file: str | None = None
    optional: bool = False

    def read(self) -> str | None:
        """Its value; ``None`` if there is none.

        Raises:
            ConfigurationError: A file cannot be read.
        """
        if self.file is not None:
            try:
                held = Path(self.file).read_text(encoding="utf-8").strip()
            except FileNotFoundError:
                held = ""
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigurationError(f"the credential {self.name} cannot be read from {self.file}") from error
            if held or self.env is None:
                return held or None
        return read_secret(self.env or self.name)

    @property
    def remedy(self) -> str:
        """How to give it."""
        if self.file is not None:
            return f"write it to {self.file}"
        return f"set {self.env or self.name} or {self.env or self.name}_FILE"


def read_credentials(sources: Sequence[CredentialSource], environment: str) -> dict[str, str]:
    """The values of credentials, by name.

    Args:
        sources: Where they come from.
        environment: Whose they are, for the error.

    Raises:
        ConfigurationError: Some are not there, all of which it names, or one is too short.
    """
    found = {one.name: one.read() for one in sources}
    missing = [one for one in sources if found[one.name] is None and not one.optional]
    if missing:
        told = "; ".join(f"{one.name} ({one.remedy})" for one in missing)
        raise ConfigurationError(f"{environment} needs credentials that are not there: {told}")
    values = {name: value for name, value in found.items() if value is not None}
    Credentials(values)
    return values


class Credentials(Mapping[str, str]):
    """Secrets by name. Neither ``repr`` nor a pickle has their values.

    Args:
        values: The secrets, each of 4 characters or more: a shorter one could not be told from other text.

    Raises:
        ConfigurationError: One is shorter.
    """

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = dict(values or {})
        short = [name for name, value in self._values.items() if len(value) < _SHORTEST]
        if short:
            raise ConfigurationError(f"a credential must have {_SHORTEST} characters or more: {', '.join(short)}")

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Credentials({', '.join(f'{name}=...' for name in self._values)})"

    def __copy__(self) -> Credentials:
        return self

    def __deepcopy__(self, memo: object) -> Credentials:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Credentials, ()

    def redacted(self, value: Any) -> Any:
        """A value with ``[NAME]`` in the place of each secret, however deep inside.

        Text is looked for as it is, and as base64, quoted for URLs or escaped for JSON. What holds none is returned
        as it is, not copied.

        Args:
            value: JSON-like values, models, structs, dataclasses, arrays of text, bytes or exceptions.
        """
        return self._clean(value, 0) if self._values else value

    @cached_property
    def _names(self) -> dict[str, str]:
        """What stands for each secret, by all the forms that it is looked for in."""
        names: dict[str, str] = {}
        for name, secret in self._values.items():
            for form in _forms(secret):
                names.setdefault(form, f"[{name}]")
        return names

    @cached_property
    def _in_text(self) -> Callable[[str], str]:
        names = self._names
        pattern = re.compile("|".join(map(re.escape, sorted(names, key=len, reverse=True))))
        return lambda text: pattern.sub(lambda found: names[found[0]], text)

    @cached_property
    def _in_bytes(self) -> Callable[[bytes], bytes]:
        names = {form.encode("utf-8", "surrogatepass"): name.encode() for form, name in self._names.items()}
        pattern = re.compile(b"|".join(map(re.escape, sorted(names, key=len, reverse=True))))
        return lambda raw: pattern.sub(lambda found: names[found[0]], raw)

    def _clean(self, value: Any, depth: int) -> Any:
        if isinstance(value, _PLAIN):
            return value
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, (bytes, bytearray, memoryview, msgspec.Raw)):
            return self._raw(value)
        if depth > _DEEPEST:
            return "[nested too deeply to be looked through]"
        if isinstance(value, dict):
            cleaned = {self._clean(key, depth + 1): self._clean(one, depth + 1) for key, one in value.items()}
            same = all(a is b and value[a] is cleaned[a] for a, b in zip(value, cleaned, strict=False))
            return value if same and len(cleaned) == len(value) else cleaned
        if isinstance(value, (list, tuple, set, frozenset)):
            return self._members(value, depth)
        return self._object(value, depth)

    def _text(self, value: str) -> str:
        cleaned = self._in_text(value)
        return value if cleaned == value else cleaned

    def _raw(self, value: Any) -> Any:
        raw = bytes(value)
        cleaned = self._in_bytes(raw)
        if cleaned == raw:
            return value
        return type(value)(cleaned) if not isinstance(value, memoryview) else cleaned

    def _members(self, value: Any, depth: int) -> Any:
        members = [*value]
        cleaned = [self._clean(one, depth + 1) for one in members]
        if all(a is b for a, b in zip(members, cleaned, strict=True)):
            return value
        return type(value)(*cleaned) if hasattr(value, "_fields") else type(value)(cleaned)  # a named tuple, or not

    def _object(self, value: Any, depth: int) -> Any:
        if isinstance(value, BaseModel):
            fields = {**value.__dict__, **(value.__pydantic_extra__ or {})}
        elif isinstance(value, msgspec.Struct):
            fields = {name: getattr(value, name) for name in value.__struct_fields__}
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {
                one.name: getattr(value, one.name) for one in dataclasses.fields(value) if hasattr(value, one.name)
            }
        elif isinstance(value, BaseException):
            return self._exception(value, depth)
        else:
            return self._array(value, depth)
        cleaned = {name: self._clean(one, depth + 1) for name, one in fields.items()}
        changed = {name: one for name, one in cleaned.items() if one is not fields[name]}
        if not changed:
            return value
        if isinstance(value, BaseModel):
            return value.model_copy(update=changed)
        twin = copy.copy(value)
        for name, one in changed.items():
            if isinstance(twin, msgspec.Struct):
                msgspec.structs.force_setattr(twin, name, one)
            else:
                object.__setattr__(twin, name, one)  # also of one that is frozen
        return twin

    def _exception(self, value: BaseException, depth: int) -> BaseException:
        arguments, own = self._clean(value.args, depth + 1), self._clean(value.__dict__, depth + 1)
        if arguments is value.args and own is value.__dict__:
            return value
        twin = copy.copy(value)
        twin.args = arguments
        twin.__dict__.update(own)
        return twin

    def _array(self, value: Any, depth: int) -> Any:
        """An array of text or objects, of numpy or what looks like it."""
        kind = getattr(getattr(value, "dtype", None), "kind", "")
        if kind not in ("U", "S", "O", "T"):
            return value
        cleaned = [self._clean(one, depth + 1) for one in value.ravel().tolist()]
        if cleaned == value.ravel().tolist():
            return value
        objects = value.astype(object)
        for index, one in enumerate(cleaned):
            objects.flat[index] = one
        return objects if kind == "O" else objects.astype(kind)


_DEEPEST = 200


def _forms(secret: str) -> set[str]:
    """The forms in which a secret may come to light."""
    escaped = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
    escaped |= {json.dumps(one)[1:-1] for one in [*escaped]}  # JSON as text in JSON
    quoted = {quote(secret, safe=""), quote(secret), quote_plus(secret)}
    quoted |= {re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), one) for one in [*quoted]}
    return {secret, *escaped, *quoted, *_encoded(secret.encode("utf-8", "surrogatepass"))}


def _encoded(secret: bytes) -> Iterator[str]:
    """Its base64, also where it is the middle of something longer: what then never changes of it."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(secret).decode().rstrip("=")
        for before in range(3):
            bits = 8 * len(secret)
            first = -(-8 * before // 6)
            text = encode(b"\0" * before + secret).decode()[first : (8 * before + bits) // 6]
            if len(text) >= _SHORTEST_PART:
                yield text
