"""Writing a package: all of it, or nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from openenv.errors import ConfigurationError
from openenv.scaffold.name import PackageName
from openenv.scaffold.template import Template, render

__all__ = ["CreatedPackage", "create_package"]

_MAY_BE_THERE = {".git"}  # a repository that was just made or cloned


@dataclass(frozen=True)
class CreatedPackage:
    """A package that was written.

    Attributes:
        name: What it and its parts are called.
        template: What it began as.
        directory: Where it is.
        files: Paths of its files, relative to the directory.
    """

    name: PackageName
    template: Template
    directory: Path
    files: tuple[str, ...]


def create_package(name: str, *, template: Template = Template.GYM, directory: Path | None = None) -> CreatedPackage:
    """Write the package of a new environment. If anything fails, nothing of it is left.

    Args:
        name: Name of the environment, in snake case or kebab case; see ``PackageName``.
        template: What it begins as.
        directory: Where to write it; by default a directory of that name in the current one. Missing directories are
            made. One that exists must be empty, but for a ``.git``.

    Raises:
        ConfigurationError: The name cannot be used, the directory is not empty, or it cannot be written.
    """
    named = PackageName.parse(name)
    target = Path(named.directory) if directory is None else directory.expanduser()
    contents = render(template, named)
    try:
        _must_be_free(target)
        with _undone_on_failure(target) as written:
            for path, text in contents.items():
                file = target / path
                file.parent.mkdir(parents=True, exist_ok=True)
                with file.open("x", encoding="utf-8", newline="\n") as opened:  # never over what is there
                    written.append(file)
                    opened.write(text)
    except OSError as error:
        raise ConfigurationError(
            f"cannot write {error.filename or target}: {error.strerror}; choose another directory with --dir"
        ) from error
    return CreatedPackage(named, template, target, tuple(contents))


def _must_be_free(target: Path) -> None:
    if target.exists() and not target.is_dir():
        raise ConfigurationError(f"{target} is a file; choose another directory with --dir")
    inside = {entry.name for entry in target.iterdir()} - _MAY_BE_THERE if target.exists() else set()
    if inside:
        what = ", ".join(sorted(inside)[:3]) + (", …" if len(inside) > 3 else "")
        raise ConfigurationError(
            f"{target} is not empty (it holds {what}); choose another name, or another directory with --dir"
        )


@contextmanager
def _undone_on_failure(target: Path) -> Iterator[list[Path]]:
    """Note what is written; remove it, and every directory made for it, if the block raises."""
    missing = next((one for one in (*reversed(target.parents), target) if not one.exists()), None)
    written: list[Path] = []
    try:
        target.mkdir(parents=True, exist_ok=True)
        yield written
    except BaseException:  # Ctrl-C leaves nothing either
        if missing is not None:
            shutil.rmtree(missing, ignore_errors=True)
        else:
            _remove(written, target)
        raise


def _remove(written: list[Path], target: Path) -> None:
    for file in reversed(written):
        file.unlink(missing_ok=True)
        for directory in file.parents:
            if directory == target:
                break
            with suppress(OSError):  # not empty yet: another file of ours goes next
                directory.rmdir()
