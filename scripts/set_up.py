"""Makes .venv as the lock file says, through whatever index pip is configured for.

Run by make, with the system's Python and only the standard library. uv does the work because it is several
times faster; pip takes over where uv cannot.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".ready"
LOCK = ROOT / "requirements-dev.lock"

# uv reads neither pip.conf nor PIP_*; these are pip's settings that decide where packages come from.
UV_NAMES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
}
# These send packages elsewhere than into .venv.
MISLEADING = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_REQUIRE_HASHES", "VIRTUAL_ENV")


class SetUpFailed(Exception):
    """A step of the set-up failed; the message is for the user."""


def run(*command: str | Path, env: dict[str, str]) -> None:
    """Run quietly; what the command said is shown only if it fails."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise SetUpFailed("\n".join(done.stdout.strip().splitlines()[-12:]))


def pip_environment() -> dict[str, str]:
    """This process's environment without what would lead pip astray."""
    env = {name: value for name, value in os.environ.items() if name not in MISLEADING}
    return env | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}


def parse_pip_config(listing: str) -> dict[str, str]:
    """The settings of ``pip config list`` by bare name; the environment wins over install.*, that over global.*."""
    rank = {"global": 0, "install": 1, ":env:": 2}
    found: dict[str, tuple[int, str]] = {}
    for line in listing.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.partition(".")
        if section not in rank or not value or (name in found and found[name][0] > rank[section]):
            continue
        try:
            found[name] = rank[section], str(ast.literal_eval(value))
        except (SyntaxError, ValueError):
            continue
    return {name: value for name, (_, value) in found.items()}


def uv_environment(env: dict[str, str], python: Path = PYTHON) -> dict[str, str]:
    """The environment in which uv looks for packages where pip would. What is set for uv already stays."""
    listing = subprocess.run(
        [python, "-m", "pip", "config", "list"], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True
    ).stdout
    result = {"UV_PYTHON_DOWNLOADS": "never", "UV_INDEX_STRATEGY": "unsafe-best-match", "UV_NO_PROGRESS": "1"}
    for name, value in parse_pip_config(listing).items():
        if name in UV_NAMES:
            # uv separates several links by commas, everything else by white space as pip does.
            result[UV_NAMES[name]] = ",".join(value.split()) if name == "find-links" else " ".join(value.split())
    return result | env


def pinned(name: str) -> str:
    """The lock's lines for one package, hashes included."""
    taken: list[str] = []
    for line in LOCK.read_text(encoding="utf-8").splitlines():
        if line.startswith(" " if taken else f"{name}=="):
            taken.append(line)
        elif taken:
            break
    if not taken:
        raise SetUpFailed(f"{LOCK.name} does not pin {name}")
    return "\n".join(taken) + "\n"


def install_uv(env: dict[str, str], python: Path = PYTHON) -> None:
    with tempfile.TemporaryDirectory() as folder:
        requirement = Path(folder) / "uv.txt"
        requirement.write_text(pinned("uv"), encoding="utf-8")
        run(python, "-m", "pip", "install", "-q", "--no-deps", "--require-hashes", "-r", requirement, env=env)


def with_uv_or_pip(env: dict[str, str], python: Path, install: Callable[..., None]) -> None:
    """Call ``install`` with an environment and the words of an installing command: uv's, and if that fails pip's."""
    try:
        install_uv(env, python)
        install(uv_environment(env, python), python, "-m", "uv", "pip", "install", "--python", python)
    except SetUpFailed as failure:
        print(f"{failure}\nuv could not do it; trying again with pip.", file=sys.stderr, flush=True)
        install(env, python, "-m", "pip", "install")


def install(env: dict[str, str], *install_command: str | Path) -> None:
    """Everything the lock pins, then this project and its environments as they stand in the tree."""
    run(*install_command, "--no-deps", "--require-hashes", "-r", LOCK, env=env)
    packages = [ROOT, *(path.parent for path in sorted(ROOT.glob("envs/*/pyproject.toml")))]
    editable = [part for package in packages for part in ("-e", str(package))]
    run(*install_command, "--no-deps", "--no-build-isolation", *editable, env=env)


def check(env: dict[str, str]) -> None:
    """Every requirement of every package is there, in a version that fits."""
    try:
        run(PYTHON, "-m", "pip", "check", env=env)
    except SetUpFailed as failure:
        raise SetUpFailed(f"{failure}\nif a requirement is new in a pyproject.toml, run: make lock") from failure


def make_venv() -> None:
    """A virtual environment with a working pip; one that is broken or was made elsewhere is replaced."""
    made_here = not STAMP.exists() or STAMP.read_text(encoding="utf-8") == str(ROOT)
    probe = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
    try:
        works = made_here and not subprocess.run([PYTHON, "-c", probe], capture_output=True).returncode
    except OSError:
        works = False
    STAMP.unlink(missing_ok=True)
    if not works:
        venv.create(VENV, clear=True, symlinks=True, with_pip=True)


def main() -> int:
    print("Setting up .venv; the first time takes about a minute.", flush=True)
    env = pip_environment()
    try:
        make_venv()
        with_uv_or_pip(env, PYTHON, install)
        check(env)
    except (SetUpFailed, OSError, subprocess.CalledProcessError) as failure:
        print(failure, file=sys.stderr)
        print("error: .venv could not be set up; mend what is said above and run make again", file=sys.stderr)
        return 1
    STAMP.write_text(str(ROOT), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
