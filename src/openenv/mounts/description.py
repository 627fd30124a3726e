"""What is said of an outside server: as arguments, in a file, or on a command line. All of it has a form in JSON."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from openenv.errors import ConfigurationError

__all__ = ["ServerDescription"]

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_PREFIX = re.compile(r"[A-Za-z0-9_./-]{0,64}")
_PLACE = re.compile(r"\$\{(\w+)\}")
_HASH = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class ServerDescription:
    """Where an outside server is and what is taken of it; see ``OutsideServer`` for the fields."""

    name: str
    command: tuple[str, ...] | None = None
    url: str | None = None
    prefix: str = ""
    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()
    pinned: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    credentials: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_s: float = 60.0
    start_timeout_s: float = 60.0

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigurationError(
                f"MCP server {self.name!r}: a name has 1 to 64 letters, digits and any of _ . -, and nothing else"
            )
        if (self.command is None) is (self.url is None):
            raise self._wrong("give either its command or its url")
        if self.command is not None and not (self.command and self.command[0]):
            raise self._wrong("its command is empty")
        if self.url is not None and not self.url.startswith(("http://", "https://")):
            raise self._wrong(f"its url must begin with http:// or https://, not {self.url!r}")
        if not _PREFIX.fullmatch(self.prefix):
            raise self._wrong("a prefix has letters, digits and any of _ . / -, and nothing else")
        if self.command is not None and self.headers:
            raise self._wrong("headers are for a url; a command gets env")
        if self.url is not None and self.env:
            raise self._wrong("env is for a command; a url gets headers")
        for tool, digest in self.pinned.items():
            if not _HASH.fullmatch(digest):
                raise self._wrong(f"pinned {tool}: a hash looks like sha256: and 64 hexadecimal digits")
        for what in ("timeout_s", "start_timeout_s"):
            if not getattr(self, what) > 0:
                raise self._wrong(f"{what} must be above 0")

    def _wrong(self, what: str) -> ConfigurationError:
        return ConfigurationError(f"MCP server {self.name}: {what}")

    @staticmethod
    def of(name: str, given: Any) -> ServerDescription:
        """From the entry of ``mcp_servers`` in a file, or of ``described``.

        Args:
            name: Of the server.
            given: ``command`` (a list, or a text that is split as a shell does) with ``args``, or ``url``; and any of
                the other fields.

        Raises:
            ConfigurationError: Something is missing, unknown or of the wrong type.
        """
        if isinstance(given, str):
            return ServerDescription.parsed(f"{name}={given}")
        if not isinstance(given, Mapping):
            raise ConfigurationError(f"MCP server {name}: give a command or a url, such as {{url: http://...}}")
        known = {one.name for one in fields(ServerDescription)} - {"name"} | {"args"}
        unknown = sorted(set(map(str, given)) - known)
        if unknown:
            raise ConfigurationError(
                f"MCP server {name}: unknown {', '.join(unknown)}; known are {', '.join(sorted(known))}"
            )
        found: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
        arguments = _texts(name, "args", found.pop("args", ()))
        if "command" in found:
            command = found["command"]
            split = _split(name, command) if isinstance(command, str) and not arguments else (command,)
            found["command"] = (*(_texts(name, "command", command) if isinstance(command, list | tuple) else split),)
            found["command"] = _texts(name, "command", (*found["command"], *arguments))
        elif arguments:
            raise ConfigurationError(f"MCP server {name}: args without a command")
        for key in ("allow", "deny", "credentials"):
            if key in found:
                found[key] = _texts(name, key, found[key])
        for key in ("env", "headers", "pinned"):
            if key in found:
                found[key] = _mapping(name, key, found[key])
        for key in ("url", "prefix"):
            if not isinstance(found.get(key, ""), str):
                raise ConfigurationError(f"MCP server {name}: {key} must be a text")
        for key in ("timeout_s", "start_timeout_s"):
            if not isinstance(found.get(key, 1.0), int | float) or isinstance(found.get(key), bool):
                raise ConfigurationError(f"MCP server {name}: {key} must be a number of seconds")
        return ServerDescription(name=name, **found)

    @staticmethod
    def parsed(text: str) -> ServerDescription:
        """From ``NAME=COMMAND...`` or ``NAME=URL``, as on a command line.

        Raises:
            ConfigurationError: It is neither.
        """
        name, equals, rest = text.partition("=")
        if not equals or not rest.strip():
            raise ConfigurationError(
                f"an MCP server is given as NAME=COMMAND or NAME=URL, such as files='npx server-files .', not {text!r}"
            )
        if rest.startswith(("http://", "https://")):
            return ServerDescription(name, url=rest.strip())
        return ServerDescription(name, command=_split(name, rest))

    def described(self) -> dict[str, Any]:
        """The same as JSON, for another process: ``of`` makes it of that again."""
        told = asdict(self)
        del told["name"]
        return {key: list(one) if isinstance(one, tuple) else one for key, one in told.items() if one or key == "allow"}

    def filled(self, texts: Mapping[str, str], credentials: Mapping[str, str]) -> dict[str, str]:
        """``env`` or ``headers`` with the credentials that stand in them as ``${NAME}``."""

        def value(found: re.Match[str]) -> str:
            return credentials[found[1]] if found[1] in self.credentials else found[0]

        return {name: _PLACE.sub(value, text) for name, text in texts.items()}


def _split(name: str, text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise ConfigurationError(f"MCP server {name}: its command cannot be read: {error}") from None


def _texts(name: str, key: str, given: Any) -> tuple[str, ...]:
    found = (given,) if isinstance(given, str) else given
    if not isinstance(found, list | tuple) or not all(isinstance(one, str | int | float) for one in found):
        raise ConfigurationError(f"MCP server {name}: {key} must be a list of texts")
    return tuple(map(str, found))


def _mapping(name: str, key: str, given: Any) -> dict[str, str]:
    if not isinstance(given, Mapping) or not all(isinstance(one, str | int | float) for one in given.values()):
        raise ConfigurationError(f"MCP server {name}: {key} must be names with texts")
    return {str(one): str(value) for one, value in given.items()}
