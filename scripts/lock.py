"""Writes requirements-dev.lock: every third-party package this repository needs, pinned with its hashes.

One file for all platforms and Pythons. It names no index, so each machine takes the packages from its own.
"""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

from set_up import LOCK, PYTHON, ROOT, install_uv, make_venv, pip_environment, uv_environment


def requirements(pyproject: Path) -> list[str]:
    """What a pyproject.toml asks for, the packages of this repository left out.

    Extras of environments are left out too: who needs them has a virtual environment of its own (``env_venv.py``).
    """
    content = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    project = content["project"]
    extras = project.get("optional-dependencies", {}) if pyproject.parent == ROOT else {}
    groups = [project.get("dependencies", []), *extras.values()]
    groups += content.get("dependency-groups", {}).values()
    groups.append(content["build-system"]["requires"])
    found = [one for group in groups for one in group if isinstance(one, str)]
    return [one for one in found if not re.match(r"openenv\b", one)]


def main() -> int:
    # No full set-up first: it would stop at the very requirement that is not locked yet.
    env = pip_environment()
    make_venv()
    install_uv(env)
    asked = requirements(ROOT / "pyproject.toml")
    for pyproject in sorted(ROOT.glob("envs/*/pyproject.toml")):
        asked += requirements(pyproject)
    options = ["--universal", "--upgrade", "--generate-hashes", "--no-annotate", "--no-emit-index-url"]
    options += ["--python-version", "3.11", "--custom-compile-command", "make lock", "--quiet", "-o", str(LOCK)]
    done = subprocess.run(
        [PYTHON, "-m", "uv", "pip", "compile", *options, "-"],
        input="\n".join(sorted(set(asked))),
        env=uv_environment(env),
        stdout=subprocess.DEVNULL,
        text=True,
    )
    return done.returncode


if __name__ == "__main__":
    raise SystemExit(main())
