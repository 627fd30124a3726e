"""Programs from npm, in exactly the versions asked for, installed once outside of the tree.

They are in ``${XDG_CACHE_HOME:-~/.cache}/openenv/npm-NAME-VERSION...``, one directory for each set of packages.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
if str(SCRIPTS) not in sys.path:  # also where this file is loaded from elsewhere
    sys.path.insert(0, str(SCRIPTS))

from node import NodeMissing, alone, cache, find, npm  # noqa: E402

__all__ = ["NodeMissing", "find", "installed"]

_INSTALL_S = 600


def installed(packages: Mapping[str, str]) -> Path:
    """A ``node_modules`` that holds packages in these versions, by name, with what they depend on.

    Install scripts run only for the packages that are named, not for what they depend on.

    Raises:
        NodeMissing: There is no npm, or it could not install them; the message says what to do.
    """
    made = cache() / f"npm-{_key(packages)}"
    with alone(made):
        if not made.is_dir():
            _install(made, packages)
    return made / "node_modules"


def _key(packages: Mapping[str, str]) -> str:
    """A name for a directory that people can read."""
    told = "-".join(f"{name.rpartition('/')[2]}-{version}" for name, version in sorted(packages.items()))
    exact = hashlib.sha256(json.dumps(sorted(packages.items())).encode()).hexdigest()[:8]
    return f"{re.sub(r'[^a-z0-9.-]', '-', told.lower())[:60]}-{exact}"


def _install(made: Path, packages: Mapping[str, str]) -> None:
    command = [npm(), "install", "--no-audit", "--no-fund", "--no-update-notifier", "--no-package-lock"]
    with tempfile.TemporaryDirectory(dir=made.parent) as temporary:
        place = Path(temporary)
        wanted = {"private": True, "dependencies": dict(packages), "allowScripts": dict.fromkeys(packages, True)}
        (place / "package.json").write_text(json.dumps(wanted), encoding="utf-8")
        try:
            done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=_INSTALL_S)
        except subprocess.TimeoutExpired as slow:
            raise NodeMissing(f"npm took more than {_INSTALL_S} s for {_told(packages)}; run it again") from slow
        if done.returncode != 0:
            last = (done.stderr.strip() or "npm failed").splitlines()[-1]
            raise NodeMissing(f"{_told(packages)} could not be installed with npm: {last}")
        place.rename(made)  # at once, so that what is there is whole


def _told(packages: Mapping[str, str]) -> str:
    return " ".join(f"{name}@{version}" for name, version in packages.items())
