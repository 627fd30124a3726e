"""A change of a watched file starts the server anew; nothing else does."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from openenv.app.reload import serve_reloading, snapshot
from openenv.errors import ConfigurationError, OpenEnvError


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


class FakeEndpoint:
    def __init__(self, log: list[str], url: str) -> None:
        self.url = url
        self._log = log

    def close(self) -> None:
        self._log.append(f"closed {self.url}")


class FakeRuntime:
    """Starts nothing; its second start fails."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.starts = 0

    def start(self) -> FakeEndpoint:
        self.starts += 1
        if self.starts == 2:
            raise ConfigurationError("a typo")
        return FakeEndpoint(self.log, f"url {self.starts}")


def test_each_change_is_another_start_and_a_failure_is_not_the_end(tmp_path: Path) -> None:
    source = write(tmp_path / "env.py")
    runtime, stop = FakeRuntime(), threading.Event()

    def touched() -> None:
        stamp = source.stat().st_mtime_ns + 1_000_000_000
        os.utime(source, ns=(stamp, stamp))

    def ready(url: str) -> None:
        runtime.log.append(f"ready {url}")
        stop.set() if runtime.starts == 3 else touched()

    def failed(error: OpenEnvError) -> None:
        runtime.log.append(error.message)
        touched()

    serve_reloading(runtime, tmp_path, stop=stop, on_ready=ready, on_failure=failed, look_every_s=0.001)
    assert runtime.log == ["ready url 1", "closed url 1", "a typo", "ready url 3", "closed url 3"]


def test_what_is_watched(tmp_path: Path) -> None:
    watched = {
        str(write(tmp_path / "env.py")),
        str(write(tmp_path / "openenv.yaml")),
        str(write(tmp_path / "a" / "b" / "deep.py")),
    }
    write(tmp_path / "data.bin")
    write(tmp_path / ".git" / "hook.py")
    write(tmp_path / "__pycache__" / "env.py")
    write(tmp_path / "venv" / "pyvenv.cfg")
    write(tmp_path / "venv" / "lib" / "x.py")
    os.symlink(tmp_path, tmp_path / "loop")
    assert snapshot(tmp_path).keys() == watched


def test_changes_are_seen(tmp_path: Path) -> None:
    source = write(tmp_path / "env.py")
    before = snapshot(tmp_path)
    os.utime(source, ns=(1, 1))
    changed = snapshot(tmp_path)
    source.unlink()
    assert before != changed != snapshot(tmp_path) == {}
