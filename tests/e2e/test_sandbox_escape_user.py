"""An ordinary user, without any privilege, gets the same walls where the kernel allows it, or is told why not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import openenv

pytestmark = pytest.mark.e2e
_NOBODY = 65_533

_PROBE = """
import json
from openenv.sandbox import Limits, choose, probe
found = {f.level.value: [f.available, sorted(g.value for g in f.guarantees), f.reason] for f in probe()}
for level in ("namespaces", "bubblewrap"):
    if found[level][0]:
        with choose(level).spawn(["/bin/sleep", "1000"], limits=Limits()) as process:
            process.write_file("a/b", b"x")
            assert process.read_file("a/b") == b"x"
            assert process.kill().exit_code == 137
print(json.dumps(found))
"""


@pytest.fixture
def packages() -> Iterator[Path]:
    """A directory that every user may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        yield Path(directory)


def test_an_ordinary_user_has_the_walls_or_the_reason(packages: Path) -> None:
    python = shutil.which("python3", path="/usr/bin")
    source = Path(openenv.__file__).parent
    if os.getuid() != 0 or python is None:
        pytest.skip("needs root, to become an ordinary user, and Debian's Python: apt-get install python3")
    version = subprocess.run([python, "-c", "import sys; print(sys.version_info >= (3, 11))"], capture_output=True)
    if version.stdout.strip() != b"True":
        pytest.skip("needs a system Python of at least 3.11")
    shutil.copytree(source, packages / "openenv", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [python, "-c", _PROBE],
        env={"PYTHONPATH": str(packages), "PATH": "/usr/sbin:/usr/bin"},
        user=_NOBODY,
        group=_NOBODY,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for level, (available, guarantees, reason) in found.items():
        assert available != bool(reason), level
        if level in ("namespaces", "bubblewrap") and available:
            assert len(guarantees) == 6
    assert not found["gvisor"][0]
    assert "root" in found["gvisor"][2] or "runsc" in found["gvisor"][2]
