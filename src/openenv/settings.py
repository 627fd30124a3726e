"""The environment variables that OpenEnv reads; no other file reads any."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from openenv.errors import ConfigurationError

__all__ = ["Settings", "Variable", "inherited", "load_settings", "read_secret", "secret_source", "variables"]

Mode = Literal["simulation", "production"]

_YES = {"1", "true", "yes", "on"}
_NO = {"0", "false", "no", "off"}


@dataclass(frozen=True)
class Variable:
    """One environment variable, as a reference page shows it.

    Attributes:
        name: Name of the variable.
        field: The field of ``Settings`` that it sets.
        type: What a value looks like, in words.
        default: What holds if it is not set, in words.
        meaning: What it does.
    """

    name: str
    field: str
    type: str
    default: str
    meaning: str


def _flag(text: str) -> bool:
    if text.lower() in _YES | _NO:
        return text.lower() in _YES
    raise ValueError


def _port(text: str) -> int:
    if not 0 <= int(text) <= 65535:
        raise ValueError
    return int(text)


def _mode(text: str) -> str:
    if text not in ("simulation", "production"):
        raise ValueError
    return text


def _names(text: str) -> tuple[str, ...]:
    return tuple(one.strip() for one in text.split(",") if one.strip())


def _count(text: str) -> int:
    if int(text) < 1:
        raise ValueError
    return int(text)


# How a value is read: the words that describe it, and the function that reads it.
_FLAG = ("1 or 0", _flag)
_PORT = ("a number from 0 to 65535", _port)
_COUNT = ("a whole number from 1", _count)
_DIRECTORY = ("a directory", Path)
_HOST = ("a host name or address", str)
_NAMES = ("names with commas between them", _names)
_MODE = ("simulation or production", _mode)
_SECRET = ("a secret of 16 characters or more", str)
_DIGEST = ("the digest of an image, such as sha256:…", str)
_DRAWN = "a new one at each start"


def _variable(name: str, kind: tuple[str, Callable[[str], Any]], default: str, meaning: str) -> dict[str, Any]:
    return {"name": name, "kind": kind, "default": default, "meaning": meaning}


@dataclass(frozen=True)
class Settings:
    """What the environment variables say; an option on the command line goes before them.

    Attributes:
        debug: Whether errors of a command show their traceback.
        store: Directory where runs are recorded and looked for.
        host: Address that ``openenv serve`` listens on.
        port: Port that it listens on; 0 for any that is free.
        max_sessions: Sessions that a served environment takes at the same time; ``None``: as many as its application
            says.
        auth: Whether a server asks for tokens.
        allowed_hosts: Names that a server answers to besides its own.
        mode: What environments are served for: ``simulation`` or ``production``.
        orchestrator_token, agent_token, grader_token, observer_token: What that role has to show where a server checks
            who asks; ``None``: one is drawn.
        token: What a command shows to the server whose URL it is given.
        image_digest: Digest of the container image that this process runs in, for the environment lock; ``None``: it
            runs in none, or in one that does not say.
    """

    debug: bool = field(
        default=False, metadata=_variable("OPENENV_DEBUG", _FLAG, "0", "Show the traceback of an error.")
    )
    store: Path = field(
        default=Path("runs"), metadata=_variable("OPENENV_STORE", _DIRECTORY, "runs", "Where runs are recorded.")
    )
    host: str = field(
        default="127.0.0.1", metadata=_variable("OPENENV_HOST", _HOST, "127.0.0.1", "Address to serve on.")
    )
    port: int = field(
        default=8000, metadata=_variable("OPENENV_PORT", _PORT, "8000", "Port to serve on; 0 for any that is free.")
    )
    max_sessions: int | None = field(
        default=None,
        metadata=_variable(
            "OPENENV_MAX_SESSIONS", _COUNT, "what the application says", "Sessions served at the same time."
        ),
    )
    auth: bool = field(default=False, metadata=_variable("OPENENV_AUTH", _FLAG, "0", "Ask for tokens, as --auth does."))
    allowed_hosts: tuple[str, ...] = field(
        default=(),
        metadata=_variable("OPENENV_ALLOWED_HOSTS", _NAMES, "none", "Names that a server answers to besides its own."),
    )
    mode: Mode = field(
        default="simulation",
        metadata=_variable("OPENENV_MODE", _MODE, "simulation", "What is served for."),
    )
    orchestrator_token: str | None = field(
        default=None,
        repr=False,
        metadata=_variable("OPENENV_ORCHESTRATOR_TOKEN", _SECRET, _DRAWN, "What opens everything, with --auth."),
    )
    agent_token: str | None = field(
        default=None,
        repr=False,
        metadata=_variable("OPENENV_AGENT_TOKEN", _SECRET, _DRAWN, "What agents show in production, with --auth."),
    )
    grader_token: str | None = field(
        default=None,
        repr=False,
        metadata=_variable("OPENENV_GRADER_TOKEN", _SECRET, _DRAWN, "What opens state and outcome, with --auth."),
    )
    observer_token: str | None = field(
        default=None,
        repr=False,
        metadata=_variable("OPENENV_OBSERVER_TOKEN", _SECRET, _DRAWN, "What opens the events, with --auth."),
    )
    token: str | None = field(
        default=None,
        repr=False,
        metadata=_variable("OPENENV_TOKEN", _SECRET, "none", "What commands show to the server whose URL they get."),
    )
    image_digest: str | None = field(
        default=None,
        metadata=_variable(
            "OPENENV_IMAGE_DIGEST", _DIGEST, "none", "Image that the server runs in, for the environment lock."
        ),
    )


def load_settings(environ: Mapping[str, str] | None = None, *, only: Container[str] | None = None) -> Settings:
    """The settings of this process.

    Args:
        environ: Variables to read instead of those of the process. One that is set but empty counts as not set.
        only: The fields that are wanted; variables of others are not looked at. ``None``: all.

    Raises:
        ConfigurationError: A variable has a value that it cannot have; the message names it.
    """
    given = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    for one in fields(Settings):
        if only is not None and one.name not in only:
            continue
        name, (words, read) = one.metadata["name"], one.metadata["kind"]
        if one.metadata["kind"] is _SECRET:
            values[one.name] = read_secret(name, given)
            continue
        text = given.get(name, "").strip()
        if not text:
            continue
        try:
            values[one.name] = read(text)
        except ValueError:
            raise ConfigurationError(f"{name} must be {words}, not {text!r}; change it or unset it") from None
    return Settings(**values)


def read_secret(name: str, environ: Mapping[str, str] | None = None) -> str | None:
    """A secret from an environment variable, or from the file that ``<name>_FILE`` names.

    Args:
        name: Name of the variable.
        environ: Variables to read instead of those of the process.

    Returns:
        It without white space around it; ``None`` if neither is set, or it is empty.

    Raises:
        ConfigurationError: The file cannot be read.
    """
    given = os.environ if environ is None else environ
    found = given.get(name, "").strip()
    path = given.get(f"{name}_FILE", "").strip()
    if not found and path:
        try:
            found = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            told = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise ConfigurationError(f"{name}_FILE names {path}, which cannot be read: {told}") from error
    return found or None


def secret_source(name: str, environ: Mapping[str, str] | None = None) -> str:
    """The variable that ``read_secret`` takes a secret from: that of the name, or its twin with ``_FILE``."""
    given = os.environ if environ is None else environ
    return name if given.get(name, "").strip() or not given.get(f"{name}_FILE", "").strip() else f"{name}_FILE"


def inherited() -> dict[str, str]:
    """All variables of this process, for a child that is started without a shell."""
    return dict(os.environ)


def variables() -> tuple[Variable, ...]:
    """Every variable there is, for a reference page."""
    return tuple(
        Variable(
            name=one.metadata["name"],
            field=one.name,
            type=one.metadata["kind"][0],
            default=one.metadata["default"],
            meaning=one.metadata["meaning"],
        )
        for one in fields(Settings)
    )
