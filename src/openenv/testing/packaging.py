"""The package of an environment: what its manifest and its entry point say, held to what is there."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, PackageNotFoundError, distribution, entry_points
from pathlib import Path
from typing import Any

from openenv.environment import find_manifest, read_manifest
from openenv.errors import ConfigurationError, OpenEnvError
from openenv.session import EnvironmentSpec

__all__ = ["Package", "entry_point_fault", "manifest_fault", "package_of"]

_GROUP = "openenv.environments"
_MANIFEST = "openenv.yaml"


@dataclass(frozen=True)
class Package:
    """Where an environment class comes from.

    Attributes:
        module: Name of its top package.
        directory: Where that is.
        manifest: Its ``openenv.yaml``, if it has one.
        points: Its entry points for environments.
        installed: What was installed with it; ``None`` where it is imported from a path.
    """

    module: str
    directory: Path
    manifest: Path | None
    points: tuple[EntryPoint, ...]
    installed: Distribution | None


def package_of(cls: type[Any]) -> Package | None:
    """The package of a class; ``None`` where there is none, or none that anybody could install or serve by name."""
    top = cls.__module__.partition(".")[0]
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):  # a module that was made, not found, such as __main__
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    directory = Path(next(iter(spec.submodule_search_locations)))
    points = tuple(point for point in entry_points(group=_GROUP) if point.module.partition(".")[0] == top)
    manifest = find_manifest(directory)
    if manifest is None and not points:
        return None
    return Package(top, directory, manifest, points, points[0].dist if points else _distribution(top))


def manifest_fault(package: Package) -> str | None:
    """What is wrong with the manifest; ``None`` where nothing is."""
    from openenv.app.load import load_app  # here: check_env loads a web framework only for packages
    from openenv.app.resolve import Local, resolve

    if package.manifest is None:
        return f"{package.points[0].name} is an entry point of {package.module}, which has no {_MANIFEST} in it"
    try:
        declared = read_manifest(package.manifest)
        found = resolve(str(package.manifest.parent))
        assert isinstance(found, Local)  # as every path is
        with _same_path():
            load_app(found)
    except OpenEnvError as error:
        return error.message
    if package.installed is not None and declared.version not in (None, package.installed.version):
        return f"{_MANIFEST} says version {declared.version}, and the package is {package.installed.version}"
    return None


def entry_point_fault(package: Package, spec: EnvironmentSpec) -> str | None:
    """What is wrong with the entry point of an installed package; ``None`` where nothing is."""
    if not package.points:
        return f"the package {package.module} is installed, but has no entry point in {_GROUP}"
    try:
        name = read_manifest(package.manifest).name if package.manifest else package.points[0].name
    except ConfigurationError:  # that is for the other rule
        name = package.points[0].name
    point = next((point for point in package.points if _normal(point.name) == _normal(name)), None)
    if point is None:
        return f"{_MANIFEST} says {name}, and the entry point is called {package.points[0].name}"
    try:
        client = point.load()
    except Exception as error:  # noqa: BLE001 - whatever the package raises when it is imported
        return f"{point.value} cannot be loaded: {type(error).__name__}: {error}"
    return _client_fault(point.value, client, spec) if point.attr else None


def _client_fault(name: str, client: Any, spec: EnvironmentSpec) -> str | None:
    from openenv.client import EnvClient

    if not (isinstance(client, type) and issubclass(client, EnvClient)):
        return f"{name} is no EnvClient class"
    for kind in ("action_type", "observation_type", "state_type"):
        expected, found = getattr(spec, kind), getattr(client, kind)
        if found is not None and found is not expected:
            return f"{name} has the {kind} {found.__name__}, the environment has {expected.__name__}"
    return None


def _distribution(top: str) -> Distribution | None:
    try:
        return distribution(top)  # by name: what an editable package holds is not recorded
    except PackageNotFoundError:
        return None


@contextmanager
def _same_path() -> Iterator[None]:
    """What is put on the path of modules meanwhile is taken off again."""
    before = list(sys.path)
    try:
        yield
    finally:
        sys.path[:] = before


def _normal(name: str) -> str:
    """Names are compared as package indexes compare them."""
    return re.sub(r"[-_.]+", "-", name).lower()
