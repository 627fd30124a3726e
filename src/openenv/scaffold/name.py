"""The name of an environment, and all the names of its package that follow from it."""

from __future__ import annotations

import keyword
import re
import sys
from dataclasses import dataclass

from openenv.errors import ConfigurationError

__all__ = ["MAX_NAME_LENGTH", "PackageName"]

MAX_NAME_LENGTH = 24
"""Characters of a name, at most; class names made from longer ones would not fit into a line."""

_VALID = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")
_SUFFIXES = ("_environment", "_env")
# a package of that name would hide one that every environment needs
_TAKEN = {
    "fastapi", "httptools", "httpx", "msgspec", "mypy", "openenv", "openenv_coding", "openenv_core", "pydantic",
    "pydantic_core", "pytest", "rich", "ruff", "starlette", "tests", "typer", "uvicorn", "uvloop", "websockets", "yaml",
}  # fmt: skip
_GENERAL = {"env", "environment", "my", "server"}


@dataclass(frozen=True)
class PackageName:
    """What a new package and its parts are called.

    Attributes:
        module: What is imported, and the name ``openenv.make`` knows the environment by: ``my_env``.
        distribution: What is installed: ``openenv-my-env``.
        directory: The directory it is made in, unless another one is named: ``my-env``.
        title: For people: ``My Env``.
        prefix: What its class names begin with: ``My``, as ``Env`` would be said twice.
    """

    module: str
    distribution: str
    directory: str
    title: str
    prefix: str

    @staticmethod
    def parse(name: str) -> PackageName:
        """The names that follow from one that is written in snake case or kebab case.

        Raises:
            ConfigurationError: No package can have that name; the message suggests one where it can.
        """
        module = name.replace("-", "_")
        if not _VALID.fullmatch(name):
            raise ConfigurationError(
                f"{name!r} is no name for a package: use small letters and digits, words joined by - or _, "
                f"a letter first; for instance {_near(name)}"
            )
        if len(name) > MAX_NAME_LENGTH:
            raise ConfigurationError(f"{name} has {len(name)} characters; choose a name of at most {MAX_NAME_LENGTH}")
        if keyword.iskeyword(module):
            raise ConfigurationError(f"{name} is a word of Python itself and cannot be imported; try {module}_env")
        if module in sys.stdlib_module_names:
            raise ConfigurationError(f"{name} is a module of Python's standard library; try {module}_env")
        if module in _TAKEN:
            raise ConfigurationError(f"{name} is a package that environments need; try {module}_env")
        if module in _GENERAL:
            raise ConfigurationError(f"{name} says nothing about the environment; name it after its world: maze_env")
        return PackageName(
            module=module,
            distribution=f"openenv-{module.replace('_', '-')}",
            directory=name,
            title=" ".join(word.capitalize() for word in module.split("_")),
            prefix="".join(word.capitalize() for word in _without_suffix(module).split("_")),
        )


def _without_suffix(module: str) -> str:
    for suffix in _SUFFIXES:
        if module.endswith(suffix):
            return module.removesuffix(suffix)
    return module


def _near(name: str) -> str:
    """A valid name that looks like one that is not."""
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    parts = [part for part in re.split(r"[^a-z0-9]+", words.lower()) if part]
    while parts and not parts[0][0].isalpha():
        parts[0] = parts[0].lstrip("0123456789")
        parts = [part for part in parts if part]
    near = "_".join(parts)[:MAX_NAME_LENGTH].rstrip("_")
    return near if near and near not in _GENERAL and not keyword.iskeyword(near) else "maze_env"
