"""Makes the virtual environment that an environment package of ``envs/`` has for itself, and prints where it is.

For packages whose requirements stay out of .venv. Their pyproject.toml says in ``[tool.openenv.venv]`` which of their
extras to install, and which system packages that takes. It is made once, outside of the tree, in
``${XDG_CACHE_HOME:-~/.cache}/openenv/venvs``, and anew when a pyproject.toml, the version, the Python or the place of
this repository changes. This project and the package are installed as they stand in the tree.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).resolve().parent
if str(SCRIPTS) not in sys.path:  # also where this file is loaded from elsewhere
    sys.path.insert(0, str(SCRIPTS))

from set_up import LOCK, ROOT, SetUpFailed, pip_environment, run, with_uv_or_pip  # noqa: E402

_READY = ".ready"


def _has_python_headers() -> bool:
    return Path(sysconfig.get_paths()["include"], "Python.h").is_file()


SYSTEM: dict[str, Callable[[], bool]] = {
    "gcc": lambda: shutil.which("gcc") is not None,
    "python3-dev": _has_python_headers,
}
"""System packages that an environment may ask for, and how to tell that they are there."""


class MissingSystemPackages(SetUpFailed):
    """System packages are missing; the message says how to install them."""


def make(name: str) -> Path:
    """The virtual environment of ``envs/{name}``, made if it is not there yet.

    Raises:
        MissingSystemPackages: Something is to be installed first.
        SetUpFailed: There is no such environment, or it could not be installed.
    """
    folder = ROOT / "envs" / name
    if not (folder / "pyproject.toml").is_file():
        names = sorted(path.parent.name for path in ROOT.glob("envs/*/pyproject.toml"))
        raise SetUpFailed(f"there is no environment {name!r} in envs; there are: {', '.join(names)}")
    wishes = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8")).get("tool", {})
    wishes = wishes.get("openenv", {}).get("venv", {})
    check_system(wishes.get("system", []))
    made = place(name)
    with _alone(made):
        if not (made / _READY).is_file():
            print(
                f"Setting up the virtual environment of {name}; this takes about a minute.", file=sys.stderr, flush=True
            )
            _install(made, folder, wishes)
            (made / _READY).touch()
    return made


def check_system(packages: list[str]) -> None:
    """Make sure that these system packages are there.

    Raises:
        MissingSystemPackages: Some are not.
    """
    missing = [package for package in packages if not SYSTEM[package]()]
    if missing:
        version = ".".join(map(str, sys.version_info[:2]))
        # the headers of this Python, which need not be the system's own
        wanted = [f"python{version}-dev" if package == "python3-dev" else package for package in missing]
        raise MissingSystemPackages(
            f"{' and '.join(missing)} missing; install with: sudo apt install {' '.join(wanted)}"
        )


def place(name: str) -> Path:
    """Where the virtual environment of ``envs/{name}`` is, or would be."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    own, project = ROOT / "envs" / name / "pyproject.toml", ROOT / "pyproject.toml"
    version = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"]
    key = sha256()
    for part in (str(ROOT), sys.base_prefix, sys.version, version, own.read_text(encoding="utf-8"), _constraints()):
        key.update(part.encode() + b"\0")
    key.update(project.read_bytes())
    return cache / "openenv" / "venvs" / f"{name}-{key.hexdigest()[:16]}"


def _constraints() -> str:
    """The versions of the lock, for what this virtual environment shares with .venv."""
    lines = LOCK.read_text(encoding="utf-8").splitlines()
    return "\n".join(line.removesuffix("\\").rstrip() for line in lines if re.match(r"[A-Za-z0-9]", line)) + "\n"


@contextmanager
def _alone(made: Path) -> Iterator[None]:
    """Keep other processes from making it at the same time."""
    made.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{made}.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install(made: Path, folder: Path, wishes: dict[str, Any]) -> None:
    venv.create(made, clear=True, symlinks=True, with_pip=True)
    extras = ",".join(wishes.get("extras", []))
    package = f"{folder}[{extras}]" if extras else str(folder)
    with tempfile.TemporaryDirectory() as temporary:
        constraints = Path(temporary) / "constraints.txt"
        constraints.write_text(_constraints(), encoding="utf-8")

        def install(env: dict[str, str], *command: str | Path) -> None:
            run(*command, "-c", constraints, "-e", str(ROOT), "-e", package, env=env)

        with_uv_or_pip(pip_environment(), made / "bin" / "python", install)


def main() -> int:
    parser = argparse.ArgumentParser(description="Make the own virtual environment of an environment; print its path.")
    parser.add_argument("name", help="directory in envs")
    try:
        print(make(parser.parse_args().name))
    except (SetUpFailed, OSError, subprocess.CalledProcessError) as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
