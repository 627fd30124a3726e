"""The environment lock: what exactly is served, so that a replay can tell what has changed since."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import re
import sys
import sysconfig
import typing
from collections.abc import Callable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions, packages_distributions
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from openenv.environment import Environment, EnvironmentPlan
from openenv.environment.manifest import MANIFEST_NAME
from openenv.environment.plan import plan_of_factory
from openenv.session.served.spec import EnvironmentSpec
from openenv.settings import load_settings
from openenv.version import __version__

__all__ = ["environment_lock", "lock_digest"]

_CODE = {".py", ".yaml", ".json"}
_MOST_FILES = 2_000
_MOST_BYTES = 50 * 1024 * 1024
_DIGEST_CHARACTERS = 12
_REQUIRED = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_EXTRA = re.compile(r";.*\bextra\s*==\s*['\"]([^'\"]*)")
_NOT_SERVED = {"dev", "doc", "docs", "lint", "test", "tests"}  # extras that no server needs

T = TypeVar("T")


def environment_lock(
    served: EnvironmentSpec | Callable[[], Any], plan: EnvironmentPlan | None = None
) -> dict[str, Any]:
    """What exactly is served, as JSON values. Reads files, so not for an event loop. Raises nothing.

    Args:
        served: The spec, or the class or function that makes the environments.
        plan: What the class says of itself, where ``served`` does not tell.

    Returns:
        ``name``; ``distribution`` (``{"name", "version"}`` of the installed package that it comes from, or ``None``);
        ``packages`` (versions by name: openenv, pydantic, what the distribution itself requires, and numpy if
        it needs that at any depth); ``python``; ``platform``; ``code`` (``{"digest", "files", "bytes"}`` of its
        package's files as they are now on disk, or ``None``); ``image`` (digest of the container image, or ``None``);
        ``deterministic`` and ``volatile`` as the class declares them (``None`` while it is not known); ``notes`` on
        what could not be found out; and ``digest``, a short one of all of these.
    """
    notes: list[str] = []
    factory = served.factory if isinstance(served, EnvironmentSpec) else served
    declared = served.plan if isinstance(served, EnvironmentSpec) else None
    plan = plan or declared or _part(notes, "its class", lambda: plan_of_factory(factory))
    module = _part(notes, "its module", lambda: _module_of(factory))
    found = None if module is None else _part(notes, "its distribution", lambda: _distribution_of(module))
    code = None if module is None else _part(notes, "its code", lambda: _code_of(module, notes))
    named = served.name if isinstance(served, EnvironmentSpec) else getattr(factory, "__name__", type(factory).__name__)
    lock = {
        "name": named,
        "distribution": None if found is None else {"name": _normal(found.name), "version": found.version},
        "packages": _part(notes, "its packages", lambda: _packages(found)) or {"openenv": __version__},
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": sysconfig.get_platform(),
        "code": code,
        "image": _part(notes, "its image", lambda: load_settings().image_digest),
        "deterministic": None if plan is None else plan.deterministic,
        "volatile": None if plan is None else sorted(plan.volatile),
        "notes": notes,
    }
    return {**lock, "digest": lock_digest(lock)}


def lock_digest(lock: dict[str, Any]) -> str:
    """The short digest of a lock, 12 hexadecimal characters; a ``digest`` that is in it already does not count."""
    told = {name: value for name, value in lock.items() if name != "digest"}
    text = json.dumps(told, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARACTERS]


def _part(notes: list[str], what: str, find: Callable[[], T]) -> T | None:
    try:
        return find()
    except Exception as error:  # noqa: BLE001 - whatever a damaged installation raises, serving goes on without this part
        told = error.strerror if isinstance(error, OSError) else error  # without a path, which differs by machine
        notes.append(f"{what} cannot be told: {type(error).__name__}: {told}")
        return None


# Where the code is -------------------------------------------------------------------------------


def _module_of(factory: Any) -> ModuleType | None:
    """The module of the class, or of the function where that does not tell its class."""
    if isinstance(factory, functools.partial):
        return _module_of(factory.func)
    home = factory if isinstance(factory, type) else _returned(factory) or factory
    name = getattr(home, "__module__", None) or type(home).__module__
    return sys.modules.get(name)


def _returned(function: Any) -> type[Any] | None:
    try:
        found = typing.get_type_hints(function).get("return")
    except (NameError, TypeError):  # names known to a type checker alone, or a callable without annotations
        return None
    is_known = isinstance(found, type) and issubclass(found, Environment) and found is not Environment
    return found if is_known else None


def _name_and_file(module: ModuleType) -> tuple[str, Path] | None:
    """What it is imported as, also if it is the script that was run, and its source."""
    spec = getattr(module, "__spec__", None)
    file = getattr(module, "__file__", None)
    if not file or not file.endswith(".py"):
        return None
    return (spec.name if spec is not None else module.__name__), Path(file).resolve()


def _import_root(name: str, file: Path) -> Path:
    """The directory that the module's top package was found in."""
    return file.parents[name.count(".") + (file.name == "__init__.py")]


# Distribution and versions -----------------------------------------------------------------------


def _distribution_of(module: ModuleType) -> Distribution | None:
    """The installed distribution that the module belongs to, also if that was installed to be edited."""
    placed = _name_and_file(module)
    if placed is None:
        return None
    name, file = placed
    root, top = _import_root(name, file), name.partition(".")[0]
    named = [distribution(one) for one in dict.fromkeys(packages_distributions().get(top, ()))]
    inside = [one for one in named if Path(str(one.locate_file(""))).resolve() == root]
    if len(inside) > 1:  # they share a top package
        inside = [one for one in inside if any(Path(str(path.locate())) == file for path in one.files or ())] or inside
    if inside:
        return inside[0]
    return next((one for one in distributions() if root in _edited_in(one, is_named=one in named)), None)


def _edited_in(found: Distribution, *, is_named: bool) -> Iterator[Path]:
    """Directories that a distribution which was installed to be edited is imported from."""
    for path in found.files or ():
        if path.suffix == ".pth":
            lines = Path(str(path.locate())).read_text(encoding="utf-8").splitlines()
            yield from (Path(line).resolve() for line in lines if line and not line.startswith(("import ", "#")))
    url = json.loads(found.read_text("direct_url.json") or "{}") if is_named else {}
    if url.get("dir_info", {}).get("editable") and str(url.get("url", "")).startswith("file://"):
        project = Path(str(url["url"]).removeprefix("file://")).resolve()
        yield from (project, project / "src")


def _packages(found: Distribution | None) -> dict[str, str]:
    """Versions of what the environment's answers may depend on, by name."""
    direct = [] if found is None else list(_requirements(found, with_extras=True))
    wanted = {"openenv", "pydantic", *direct, *(["numpy"] if _needs_numpy(direct) else [])}
    versions = {name: _version(name) for name in sorted(wanted)}
    return {name: version for name, version in versions.items() if version is not None} | {"openenv": __version__}


def _requirements(found: Distribution, *, with_extras: bool = False) -> Iterator[str]:
    """Names of what a distribution requires. Some need not be installed: extras, and those for other platforms."""
    for line in found.requires or ():
        match, extra = _REQUIRED.match(line), _EXTRA.search(line)
        if match is not None and (extra is None or (with_extras and extra[1] not in _NOT_SERVED)):
            yield _normal(match[1])


def _needs_numpy(names: list[str]) -> bool:
    seen: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name == "numpy":
            return True
        if name not in seen:
            seen.add(name)
            try:
                pending += _requirements(distribution(name))
            except PackageNotFoundError:
                continue
    return False


def _version(name: str) -> str | None:
    try:
        return distribution(name).version
    except PackageNotFoundError:
        return None


def _normal(name: str) -> str:
    """Names are compared as package indexes compare them."""
    return re.sub(r"[-_.]+", "-", name).lower()


# Code --------------------------------------------------------------------------------------------


def _code_of(module: ModuleType, notes: list[str]) -> dict[str, Any] | None:
    placed = _name_and_file(module)
    if placed is None:
        notes.append("its code has no source file")
        return None
    source = _source(*placed)
    files = _files(source)
    size = sum(path.stat().st_size for path in files[:_MOST_FILES])
    if len(files) > _MOST_FILES or size > _MOST_BYTES:
        notes.append(f"its code is over {_MOST_FILES:,} files or {_MOST_BYTES // 2**20} MB, so it has no digest")
        return None
    base = source if source.is_dir() else source.parent
    digest = hashlib.sha256()
    for path in files:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(base).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return {"digest": f"sha256:{digest.hexdigest()}", "files": len(files), "bytes": size}


def _source(name: str, file: Path) -> Path:
    """The directory whose files are the environment's code, or its one file."""
    directory = _import_root(name, file)
    for part in name.split("."):
        directory /= part
        if (directory / "__init__.py").is_file():  # the outermost package that is one; those without share a directory
            return directory.parent if (directory.parent / MANIFEST_NAME).is_file() else directory
    return file.parent if (file.parent / MANIFEST_NAME).is_file() else file


def _files(source: Path) -> list[Path]:
    """The files that count, in order; one more than the most if there are too many."""
    if not source.is_dir():
        return [source]
    found: list[Path] = []
    for place, directories, names in os.walk(source):
        directories[:] = [one for one in directories if not one.startswith((".", "__pycache__"))]
        paths = [Path(place, name) for name in names if Path(name).suffix in _CODE and not name.startswith(".")]
        found += [path for path in paths if path.is_file()]
        if len(found) > _MOST_FILES:
            return found[: _MOST_FILES + 1]
    return sorted(found, key=lambda path: path.relative_to(source).as_posix())
