"""The environment lock: what it says, what changes it, and that nothing about it stops a server."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pydantic
import pytest

import openenv
from openenv.session import EnvironmentSpec
from openenv.session.served import lock as locking
from openenv.session.served.lock import environment_lock, lock_digest
from openenv.session.served.served_lock import ServedLock

CODE = '''"""A world for locks."""

from openenv import Action, Environment, Observation, State


class World(Environment[Action, Observation, State]):
    deterministic = True
    volatile = frozenset({"took_s", "at"})

    def reset(self, seed=None):
        return Observation()

    def step(self, action):
        return Observation(done=True)

    @property
    def state(self):
        return State()


def make() -> World:
    return World()


def untold():
    return World()
'''

Import = Callable[[Path, str], ModuleType]


@pytest.fixture
def imported(monkeypatch: pytest.MonkeyPatch) -> Iterator[Import]:
    """Imports a module anew from a directory, which is first on the path until the end of the test."""
    names: list[str] = []

    def load(root: Path, name: str) -> ModuleType:
        monkeypatch.syspath_prepend(str(root))
        top = name.partition(".")[0]
        assert not names or top in names, "one top package a test"
        for known in [one for one in sys.modules if one.partition(".")[0] == top]:
            del sys.modules[known]
        names.append(top)
        return importlib.import_module(name)

    yield load
    for known in [one for one in sys.modules if one.partition(".")[0] in names]:
        del sys.modules[known]


def a_package(root: Path, name: str = "locked_world") -> Path:
    package = root / name
    (package / "server").mkdir(parents=True)
    for path in ("__init__.py", "server/__init__.py"):
        (package / path).write_text("", encoding="utf-8")
    (package / "server" / "world.py").write_text(CODE, encoding="utf-8")
    (package / "openenv.yaml").write_text("name: locked\n", encoding="utf-8")
    (package / "levels.json").write_text("[1]", encoding="utf-8")
    (package / "README.md").write_text("words", encoding="utf-8")
    return package


def a_distribution(site: Path, requires: list[str], top: str = "locked_world", editable: Path | None = None) -> None:
    """What an installer leaves of openenv-locked 2.5, with its package in ``site`` or, to be edited, elsewhere."""
    info = site / "openenv_locked-2.5.dist-info"
    info.mkdir(parents=True)
    needs = "".join(f"Requires-Dist: {one}\n" for one in requires)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: openenv_locked\nVersion: 2.5\n{needs}", encoding="utf-8"
    )
    record = "openenv_locked-2.5.dist-info/METADATA,,\n"
    if editable is None:
        record += f"{top}/__init__.py,,\n{top}/server/world.py,,\n"
    else:
        (site / "_openenv_locked.pth").write_text(f"{editable}\n", encoding="utf-8")
        record += "_openenv_locked.pth,,\n"
    (info / "RECORD").write_text(record, encoding="utf-8")


def test_a_class_of_an_installed_package(tmp_path: Path, imported: Import) -> None:
    a_package(tmp_path)
    a_distribution(
        tmp_path,
        [
            "Pydantic>=2",
            "httpx (>=0.1)",
            "rich; python_version > '3'",
            "not-there-at-all",
            "msgspec; extra == 'server'",
            "pytest; extra == 'dev'",
        ],
    )
    world = imported(tmp_path, "locked_world.server.world")
    lock = environment_lock(EnvironmentSpec.of(world.World, name="a-name"))
    assert lock["distribution"] == {"name": "openenv-locked", "version": "2.5"}
    version = importlib.metadata.version
    assert lock["packages"] == {
        "openenv": openenv.__version__,
        "pydantic": pydantic.VERSION,
        "httpx": version("httpx"),
        "rich": version("rich"),
        "msgspec": version("msgspec"),
    }
    assert (lock["name"], lock["notes"]) == ("a-name", [])
    assert (lock["deterministic"], lock["volatile"]) == (True, ["at", "took_s"])
    assert lock["code"]["files"] == 5
    assert lock["code"]["digest"].startswith("sha256:")
    assert lock["python"].endswith(".".join(map(str, sys.version_info[:3])))
    assert lock == json.loads(json.dumps(lock))
    assert str(tmp_path) not in json.dumps(lock)


def test_a_package_that_was_installed_to_be_edited(tmp_path: Path, imported: Import) -> None:
    source, site = tmp_path / "src", tmp_path / "site"
    a_package(source)
    a_distribution(site, ["gymnasium"], editable=source)
    imported(source, "locked_world")
    sys.path.append(str(site))
    try:
        lock = environment_lock(imported(source, "locked_world.server.world").World)
    finally:
        sys.path.remove(str(site))
    assert lock["distribution"] == {"name": "openenv-locked", "version": "2.5"}


def test_numpy_is_told_where_something_needs_it(tmp_path: Path, imported: Import) -> None:
    pytest.importorskip("gymnasium")
    a_package(tmp_path)
    a_distribution(tmp_path, ["gymnasium"])
    lock = environment_lock(imported(tmp_path, "locked_world.server.world").World)
    assert set(lock["packages"]) == {"openenv", "pydantic", "gymnasium", "numpy"}


def test_a_file_beside_an_installed_package_of_its_name_is_not_that(tmp_path: Path, imported: Import) -> None:
    a_package(tmp_path / "site")
    a_distribution(tmp_path / "site", [])
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "locked_world.py").write_text(CODE, encoding="utf-8")
    sys.path.append(str(tmp_path / "site"))
    try:
        lock = environment_lock(imported(tmp_path / "own", "locked_world").World)
    finally:
        sys.path.remove(str(tmp_path / "site"))
    assert lock["distribution"] is None
    assert lock["code"]["files"] == 1
    assert set(lock["packages"]) == {"openenv", "pydantic"}


@pytest.mark.parametrize(
    ("changed", "counts"),
    [
        ("server/world.py", True),
        ("levels.json", True),
        ("openenv.yaml", True),
        ("server/more.py", True),
        ("README.md", False),
        (".hidden/secret.py", False),
        ("__pycache__/old.py", False),
    ],
)
def test_a_changed_file_changes_the_lock(tmp_path: Path, imported: Import, changed: str, counts: bool) -> None:
    package = a_package(tmp_path)
    world = imported(tmp_path, "locked_world.server.world").World
    before = environment_lock(world)
    assert environment_lock(world) == before
    path = package / changed
    path.parent.mkdir(exist_ok=True)
    path.write_text("# another\n", encoding="utf-8")
    after = environment_lock(world)
    assert (after["code"]["digest"] != before["code"]["digest"]) is counts
    assert (after["digest"] != before["digest"]) is counts


def test_a_renamed_file_changes_the_digest(tmp_path: Path, imported: Import) -> None:
    package = a_package(tmp_path)
    world = imported(tmp_path, "locked_world.server.world").World
    before = environment_lock(world)
    (package / "levels.json").rename(package / "levelz.json")  # the order of the files stays
    assert environment_lock(world)["code"]["digest"] != before["code"]["digest"]


def test_the_place_on_the_disk_changes_nothing(tmp_path: Path, imported: Import) -> None:
    digests = set()
    for place in ("one", "two"):
        a_package(tmp_path / place)
        digests.add(environment_lock(imported(tmp_path / place, "locked_world.server.world").World)["digest"])
    assert len(digests) == 1


def test_the_directory_of_a_manifest_counts_as_a_whole(tmp_path: Path, imported: Import) -> None:
    """As in old packages, whose ``server`` is imported from the directory of ``openenv.yaml``."""
    a_package(tmp_path, "locked_world")
    root = tmp_path / "locked_world"
    (root / "server").rename(root / "locked_server")
    world = imported(root, "locked_server.world").World
    before = environment_lock(world)
    (root / "levels.json").write_text("[2]", encoding="utf-8")
    assert environment_lock(world)["code"]["digest"] != before["code"]["digest"]


@pytest.mark.parametrize("how", ["class", "factory", "untold factory", "partial", "lambda"])
def test_however_it_is_made_its_code_is_found(tmp_path: Path, imported: Import, how: str) -> None:
    (tmp_path / "locked_world.py").write_text(CODE + "\nmade = lambda: World()\n", encoding="utf-8")
    module = imported(tmp_path, "locked_world")
    factory: Any = {
        "class": module.World,
        "factory": module.make,
        "untold factory": module.untold,
        "partial": functools.partial(module.World),
        "lambda": module.made,
    }[how]
    lock = environment_lock(factory)
    assert lock["code"]["digest"] == environment_lock(module.World)["code"]["digest"]
    assert lock["deterministic"] is (None if how in ("untold factory", "lambda") else True)
    plan = EnvironmentSpec.of(module.World).plan
    assert environment_lock(factory, plan)["deterministic"] is True


def test_what_is_too_large_has_no_digest(tmp_path: Path, imported: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    package = a_package(tmp_path)
    world = imported(tmp_path, "locked_world.server.world").World
    monkeypatch.setattr(locking, "_MOST_FILES", 5)
    assert environment_lock(world)["code"]["files"] == 5
    (package / "one_more.py").write_text("", encoding="utf-8")
    lock = environment_lock(world)
    assert lock["code"] is None
    assert lock["notes"] == ["its code is over 5 files or 50 MB, so it has no digest"]
    monkeypatch.setattr(locking, "_MOST_FILES", 2000)
    monkeypatch.setattr(locking, "_MOST_BYTES", 100)
    assert environment_lock(world)["code"] is None


def test_the_image_is_told_where_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENENV_IMAGE_DIGEST", raising=False)
    without = environment_lock(dict)
    assert without["image"] is None
    monkeypatch.setenv("OPENENV_IMAGE_DIGEST", "sha256:12ab")
    lock = environment_lock(dict)
    assert lock["image"] == "sha256:12ab"
    assert lock["digest"] != without["digest"]


def test_nothing_that_fails_stops_it(tmp_path: Path, imported: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locked_world.py").write_text(CODE, encoding="utf-8")
    world = imported(tmp_path, "locked_world").World

    def broken() -> dict[str, list[str]]:
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "damaged")

    monkeypatch.setattr(locking, "packages_distributions", broken)
    monkeypatch.setenv("OPENENV_PORT", "http")  # wrong, so no settings are read
    (tmp_path / "locked_world.py").unlink()
    lock = environment_lock(world)
    assert (lock["distribution"], lock["image"], lock["code"]) == (None, None, None)
    assert [note.split(" cannot")[0] for note in lock["notes"]] == ["its distribution", "its code", "its image"]
    assert str(tmp_path) not in "".join(lock["notes"])
    assert lock["deterministic"] is True


def test_what_has_no_source_is_a_note() -> None:
    lock = environment_lock(dict)
    assert lock["code"] is None
    assert lock["notes"] == ["its code has no source file"]


def test_the_digest_is_of_everything_else() -> None:
    lock = environment_lock(dict)
    assert lock["digest"] == lock_digest(lock)
    assert len(lock["digest"]) == 12
    for name in lock.keys() - {"digest"}:
        assert lock_digest({**lock, name: "another"}) != lock["digest"]


async def test_a_server_finds_it_out_once(tmp_path: Path, imported: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locked_world.py").write_text(CODE, encoding="utf-8")
    module = imported(tmp_path, "locked_world")
    calls: list[Any] = []
    monkeypatch.setattr(locking, "environment_lock", lambda *given: calls.append(given) or environment_lock(*given))
    spec = EnvironmentSpec.of(module.untold, *_types(module))
    served = ServedLock(spec)
    assert (await served.read())["deterministic"] is None
    plan = EnvironmentSpec.of(module.World).plan
    assert (await served.read(plan))["deterministic"] is True
    assert (await served.read())["deterministic"] is True, "known once, known always"
    assert (await served.read(plan)) is (await served.read(plan))
    assert len(calls) == 2


def _types(module: ModuleType) -> tuple[Any, Any]:
    return module.Action, module.Observation
