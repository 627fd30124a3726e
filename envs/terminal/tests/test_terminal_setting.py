"""What of the host the shell is shown."""

from __future__ import annotations

import os
from pathlib import Path

from openenv.sandbox import python_paths
from openenv_terminal.server.setting import cover


def test_a_package_that_would_be_visible_is_covered() -> None:
    package = Path("/usr/lib/python3/dist-packages/openenv_terminal")
    ((blank, inside),) = cover(package, ["/usr", "/bin"]).items()
    assert inside == str(package)
    assert os.listdir(blank) == ["NOTE.txt"]
    assert cover(Path("/srv/openenv_terminal"), ["/usr", *python_paths("/usr")]) == {}
