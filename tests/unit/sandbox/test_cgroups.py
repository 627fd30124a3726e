"""Control groups, in directories that look like the kernel's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from openenv.sandbox.cgroups import ControlGroup, Hierarchies, group_name, remove_abandoned, remove_group, start_time


def process(tmp_path: Path, mounts: str, groups: str) -> Path:
    directory = tmp_path / "proc"
    directory.mkdir()
    (directory / "mounts").write_text(mounts)
    (directory / "cgroup").write_text(groups)
    return directory


def test_version_1_is_found_below_the_process_own_groups(tmp_path: Path) -> None:
    for controller in ("memory", "pids"):
        (tmp_path / controller / "mine").mkdir(parents=True)
    mounts = "".join(f"cgroup {tmp_path}/{name} cgroup rw,{name} 0 0\n" for name in ("memory", "pids"))
    found = Hierarchies.of_this_process(process(tmp_path, mounts, "4:memory:/mine\n8:pids:/mine\n0::/\n"))
    assert found == Hierarchies(tmp_path / "memory/mine", tmp_path / "pids/mine", 1)


@pytest.mark.parametrize(("handed", "where"), [("memory pids", "a/b"), ("", "a")])
def test_version_2_is_found_where_controllers_are_handed_down(tmp_path: Path, handed: str, where: str) -> None:
    own, parent = tmp_path / "a/b", tmp_path / "a"
    own.mkdir(parents=True)
    (parent / "cgroup.subtree_control").write_text("cpu memory pids")
    (parent / "cgroup.procs").write_text("")
    (own / "cgroup.procs").write_text("")
    if handed:
        (own / "cgroup.subtree_control").write_text(handed)
    else:
        (own / "cgroup.subtree_control").mkdir()  # cannot be written, as in a group that has processes
    found = Hierarchies.of_this_process(process(tmp_path, f"cgroup2 {tmp_path} cgroup2 rw 0 0\n", "0::/a/b\n"))
    assert found == Hierarchies(tmp_path / where, tmp_path / where, 2)


def test_without_any_there_is_none(tmp_path: Path) -> None:
    assert Hierarchies.of_this_process(process(tmp_path, "", "0::/\n")) == Hierarchies(None, None, 0)
    group = ControlGroup(Hierarchies(None, None, 0), "x")
    group.limit(1, 1)
    assert not group.limits_memory
    assert group.processes() == set()


def test_limits_are_written_where_the_kernel_reads_them(tmp_path: Path) -> None:
    group = ControlGroup(Hierarchies(tmp_path, tmp_path, 2), "g")
    for name in ("memory.max", "memory.swap.max", "pids.max"):
        (tmp_path / "g" / name).write_text("max")
    (tmp_path / "g/cgroup.procs").write_text(f"12\n{os.getpid()}\n")
    (tmp_path / "g/memory.events").write_text("low 0\noom_kill 0\n")
    group.limit(4096, 7)
    assert [(tmp_path / "g" / name).read_text() for name in ("memory.max", "memory.swap.max", "pids.max")] == [
        "4096",
        "0",
        "7",
    ]
    assert group.limits_memory
    assert group.processes() == {12}
    assert not group.out_of_memory()
    (tmp_path / "g/memory.events").write_text("low 0\noom_kill 2\n")
    assert group.out_of_memory()


def test_groups_of_the_dead_are_removed_and_no_others(tmp_path: Path) -> None:
    mine, dead, strange = group_name(os.getpid()), f"openenv-{os.getpid()}-1-0", "openenv-other"
    for name in (mine, dead, strange):
        (tmp_path / name).mkdir()
    remove_abandoned(Hierarchies(tmp_path, tmp_path, 2))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([mine, strange])
    assert remove_group(Hierarchies(tmp_path, tmp_path, 2), mine)
    assert not (tmp_path / mine).exists()


def test_a_process_is_named_by_its_start() -> None:
    assert start_time(os.getpid()) > 0
    assert start_time(2**22 + 1) == 0
