"""What is asked of a sandbox is checked before anything starts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from openenv.errors import ConfigurationError, RuntimeFailure
from openenv.sandbox import WORKDIR, Level, Limits, Sandbox, choose, probing, python_paths, system_paths
from openenv.sandbox.job import Bind, Job
from openenv.sandbox.levels import Finding
from openenv.sandbox.workdir import WorkDirectory


@pytest.mark.parametrize("field", ["memory_bytes", "processes", "disk_bytes", "open_files", "cpu_s"])
@pytest.mark.parametrize("value", [0, -1, 1.5])
def test_limits_are_whole_and_positive(field: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=field):
        Limits(**{field: value})


def test_a_job_survives_its_encoding() -> None:
    job = Job(
        Level.BUBBLEWRAP, ["x", "\udcff"], {"A": "ä"}, Limits(cpu_s=3), [Bind("/a", "/b", "c")], WORKDIR, True, [0, 5]
    )
    assert Job.decode(job.encode()) == job


@pytest.mark.parametrize(
    "paths",
    [
        {"relative": "/x"},
        {"/usr/../etc": "/x"},
        {"/nowhere/at/all": "/x"},
        {"/usr": "/"},
        {"/usr": "/proc/x"},
        {"/usr": WORKDIR},
        {"/usr": "/home"},
        {"/usr": f"{WORKDIR}/x"},
    ],
    ids=str,
)
def test_paths_in_the_way_are_refused(paths: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="read_only path"):
        Sandbox(Level.RLIMITS, frozenset()).spawn(["/bin/true"], read_only=paths)


def test_contradictions_are_refused() -> None:
    sandbox = Sandbox(Level.GVISOR, frozenset())
    with pytest.raises(ConfigurationError, match="argv is empty"):
        sandbox.spawn([])
    with pytest.raises(ConfigurationError, match="either a terminal"):
        sandbox.spawn(["x"], terminal=0, stdout=1)
    with pytest.raises(ConfigurationError, match="gVisor passes no descriptors"):
        sandbox.spawn(["x"], pass_fds=[7])
    with pytest.raises(ConfigurationError, match="twice"):
        Sandbox(Level.RLIMITS, frozenset()).spawn(["x"], pass_fds=[1])


def test_an_unknown_level_is_answered_with_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match="rlimits, namespaces, bubblewrap, gvisor"):
        choose("docker")


def _found(monkeypatch: pytest.MonkeyPatch, available: set[Level]) -> None:
    def finding(level: Level) -> Finding:
        held = level.claims if level in available else frozenset()
        return Finding(level, level in available, held, "" if level in available else "apt-get install it")

    monkeypatch.setattr(probing, "_finding", finding)


def test_the_strongest_is_chosen_and_less_only_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    _found(monkeypatch, {Level.RLIMITS, Level.NAMESPACES, Level.BUBBLEWRAP})
    assert choose().level is Level.BUBBLEWRAP
    assert choose("namespaces").level is Level.NAMESPACES
    with pytest.raises(ConfigurationError, match="gvisor is not available: apt-get install it"):
        choose("gvisor")


def test_without_a_closed_level_it_is_refused_with_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    _found(monkeypatch, {Level.RLIMITS})
    with pytest.raises(ConfigurationError, match=r"apt-get install bubblewrap.*sandbox='rlimits'"):
        choose()
    assert choose("rlimits").level is Level.RLIMITS


def test_python_and_system_are_where_they_are() -> None:
    assert all(os.path.exists(path) for path in {**system_paths(), **python_paths()})
    assert "/etc/passwd" not in system_paths()
    assert "/etc" not in system_paths()


@pytest.fixture
def workdir(tmp_path: Path) -> WorkDirectory:
    return WorkDirectory(os.open(tmp_path, os.O_PATH | os.O_DIRECTORY), -1)


@pytest.mark.parametrize("path", ["/etc/passwd", "..", "a/../../b", "", "."])
def test_paths_out_of_the_working_directory_are_refused(workdir: WorkDirectory, path: str) -> None:
    with pytest.raises(ValueError, match="not a path inside"):
        workdir.read(path, 1)
    with pytest.raises(ValueError, match="not a path inside"):
        workdir.write(path, b"")
    workdir.close()


def test_a_link_on_the_way_is_not_followed(workdir: WorkDirectory, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/x").write_text("x")
    (tmp_path / "link").symlink_to("real")
    assert workdir.read("real/x", 5) == b"x"
    with pytest.raises(OSError):  # noqa: PT011 - NotADirectoryError, or ELOOP on some file systems
        workdir.read("link/x", 5)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="regular file"):
        workdir.read("pipe", 5)
    workdir.close()
    workdir.close()
    with pytest.raises(RuntimeFailure, match="has ended"):
        workdir.read("real/x", 5)
