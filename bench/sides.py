"""The two sides: virtual environments that are made alike, outside the tree, and kept for the next run."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import IO, NamedTuple

__all__ = ["APPS", "PEER_VERSION", "SetUpFailed", "Side", "Sides", "beside", "set_up"]

PEER_VERSION = "0.10.0"
ROOT = Path(__file__).resolve().parent.parent
APPS = Path(__file__).resolve().parent / "apps"
_NOT_COMPARED = {"openenv", "pip", "setuptools"}
_CONSTRAINTS = "constraints.txt"
_PYTHON = "{}.{}.{}".format(*sys.version_info[:3])


class SetUpFailed(RuntimeError):
    """A virtual environment could not be made; the message says which command failed and how."""


@dataclass(frozen=True)
class Side:
    """One implementation in a virtual environment of its own.

    Attributes:
        name: ``peer`` or ``ours``.
        folder: Its virtual environment.
    """

    name: str
    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def packages(self) -> Path:
        """Where its packages are."""
        return next((self.folder / "lib").glob("python3.*")) / "site-packages"

    def versions(self) -> dict[str, str]:
        """What is installed in it."""
        return {one.metadata["Name"]: one.version for one in distributions(path=[str(self.packages)])}

    def start(
        self,
        *arguments: str | Path,
        output: int | IO[str],
        errors: int | IO[str],
        folder: Path = APPS,
        extras: Path | None = None,
    ) -> subprocess.Popen[str]:
        """Run its interpreter without the caller's Python settings.

        Args:
            arguments: Of the interpreter.
            output: Where what it prints goes.
            errors: Where its complaints go.
            folder: Its working directory.
            extras: A folder of packages to import from beside its own, as ``beside`` makes them.
        """
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "OPENENV"))}
        if extras is not None:
            kept["PYTHONPATH"] = str(extras)
        command = [self.python, *arguments]
        return subprocess.Popen(
            command, cwd=folder, env=kept, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, text=True
        )

    def run(self, *arguments: str | Path, extras: Path | None = None) -> str:
        """What its interpreter prints.

        Raises:
            RuntimeError: It failed; the message holds the end of what it said.
        """
        process = self.start(*arguments, output=subprocess.PIPE, errors=subprocess.PIPE, extras=extras)
        with process:
            said, complaint = process.communicate()
        if process.returncode:
            raise RuntimeError(f"{self.name}: {arguments[0]} failed: {complaint[-2000:]}")
        return said


class Sides(NamedTuple):
    """Who is compared."""

    peer: Side
    ours: Side


def set_up(say: Callable[[str], None]) -> Sides:
    """The peer's side and ours, made first if they are not there yet.

    Both are plain virtual environments of the running Python; ours holds this tree as a wheel, not editable, built
    anew when a source has changed, and the same versions as the peer's of all packages that both need.

    Raises:
        SetUpFailed: One of them could not be made.
    """
    cache = _cache()
    peer = Side("peer", cache / f"peer-{PEER_VERSION}-python-{_PYTHON}")
    ours = Side("ours", cache / f"ours-python-{_PYTHON}")
    _make(peer, PEER_VERSION, say, f"openenv=={PEER_VERSION}")
    shared = cache / _CONSTRAINTS
    pins = [f"{name}=={version}\n" for name, version in peer.versions().items() if name.lower() not in _NOT_COMPARED]
    shared.write_text("".join(sorted(pins)))
    _make(ours, _fingerprint(), say, "--upgrade", "--force-reinstall", "--constraint", shared, ROOT)
    return Sides(peer, ours)


def beside(requirement: str) -> Path:
    """A folder with one package more, for what neither side brings but some rows need; made if it is not there.

    Args:
        requirement: Of pip, such as ``numpy``; of packages that the peer needs too, its version is taken.

    Raises:
        SetUpFailed: It could not be installed.
    """
    folder = _cache() / f"beside-{requirement}-python-{_PYTHON}"
    if not folder.is_dir():
        made = folder.with_name(f"{folder.name}.{os.getpid()}")
        _install(sys.executable, "--target", made, "--constraint", _cache() / _CONSTRAINTS, requirement)
        made.rename(folder)
    return folder


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "openenv-bench"


def _make(side: Side, wanted: str, say: Callable[[str], None], *arguments: str | Path) -> None:
    stamp = side.folder / ".holds"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    say(f"making the virtual environment of {side.name} in {side.folder}")
    if not side.python.exists():
        try:
            venv.create(side.folder, with_pip=True, symlinks=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise SetUpFailed(f"no virtual environment in {side.folder}: {error}") from error
    stamp.unlink(missing_ok=True)
    _install(side.python, *arguments)
    stamp.write_text(wanted)


def _install(python: str | Path, *arguments: str | Path) -> None:
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(install, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise SetUpFailed(f"pip could not install {arguments[-1]}: {done.stderr.strip()[-2000:]}")


def _fingerprint() -> str:
    digest = hashlib.sha256()
    sources = (path for path in (ROOT / "src").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    for path in (ROOT / "pyproject.toml", *sorted(sources)):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
