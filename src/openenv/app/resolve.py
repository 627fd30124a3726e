"""From what a user types to where an environment is. Nothing of the environment is imported here."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openenv.environment import CredentialSource, Manifest, find_manifest, read_manifest
from openenv.errors import ConfigurationError, EnvironmentNotFound

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["GROUP", "Local", "Remote", "installed", "resolve", "split_file"]

GROUP = "openenv.environments"
"""Entry points of installed environments: a name, and its typed client as ``module:Class`` or just its module."""

_MANIFEST = "openenv.yaml"
_SCHEMES = ("http://", "https://", "ws://", "wss://")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*)?")
_FILE = re.compile(r"(?P<path>.*\.py)(:(?P<attribute>[A-Za-z_]\w*(\.[A-Za-z_]\w*)*))?", re.DOTALL)
_DISTRIBUTION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


@dataclass(frozen=True)
class Remote:
    """A server that runs already.

    Attributes:
        url: Its address.
    """

    url: str


@dataclass(frozen=True)
class Local:
    """An environment on this machine, to be served.

    Attributes:
        name: What it is called.
        app: What to serve: ``module``, ``module:attribute``, ``/path/file.py`` or ``/path/file.py:attribute``.
        import_roots: Directories to import from before all others.
        client: Its typed client as ``module:Class``; ``None`` if it has none.
        directory: Where its files are, if that is known.
        credentials: Where the secrets come from that it needs.
        mcp_servers: Outside MCP servers that are mounted in it, as JSON; see ``EnvironmentSpec.with_mounts``.
    """

    name: str
    app: str
    import_roots: tuple[str, ...] = ()
    client: str | None = None
    directory: str | None = None
    credentials: tuple[CredentialSource, ...] = ()
    mcp_servers: tuple[dict[str, Any], ...] = ()


def installed() -> dict[str, EntryPoint]:
    """The installed environments by name."""
    from importlib.metadata import entry_points  # here: for a path it would be imported in vain

    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        found.setdefault(_normal(point.name), point)
    return found


def resolve(target: str) -> Remote | Local:
    """Find out what a target is: a URL, a path, an installed name, or ``module:attribute``.

    Raises:
        EnvironmentNotFound: It is none of these; the message says what was looked for.
        ConfigurationError: It was found, but what is there cannot be used.
    """
    if target.startswith(_SCHEMES):
        return Remote(target)
    split = split_file(target)
    if split is not None:
        return _file(*split)
    if target.startswith((".", "/", "~")) or "/" in target:
        return _path(Path(target))
    point = installed().get(_normal(target))
    if point is not None:
        return _installed(point)
    if find_manifest(Path(target)) is not None:
        return _path(Path(target))
    if ":" in target and _MODULE.fullmatch(target):
        return Local(name=target, app=target)
    raise _unknown(target)


def split_file(reference: str) -> tuple[Path, str] | None:
    """The path and the attribute (or ``""``) of ``path/file.py`` or ``path/file.py:attribute``; else ``None``."""
    match = _FILE.fullmatch(reference)
    return (Path(match["path"]), match["attribute"] or "") if match else None


def _path(path: Path) -> Local:
    path = path.expanduser()
    if path.is_file() and path.name == _MANIFEST:
        path = path.parent
    if not path.exists():
        raise EnvironmentNotFound(f"there is no file or directory {path}")
    if not path.is_dir():
        raise EnvironmentNotFound(f"{path} is no environment; give a directory with {_MANIFEST} or a Python file")
    manifest = find_manifest(path.resolve())
    if manifest is None:
        several = sorted(path.glob(f"src/*/{_MANIFEST}"))
        if several:
            raise EnvironmentNotFound(f"{path} holds several environments; name one: {', '.join(map(str, several))}")
        raise EnvironmentNotFound(
            f"{path} is no environment: there is neither {_MANIFEST} nor src/*/{_MANIFEST} in it; "
            "write one, or name a Python file with an Environment class"
        )
    declared = read_manifest(manifest)
    app = _app(declared, manifest)
    return Local(
        name=declared.name,
        app=app,
        import_roots=_import_roots(manifest.parent, app),
        directory=str(manifest.parent),
        credentials=declared.credential_sources(manifest.parent),
        mcp_servers=_mcp_servers(declared),
    )


def _file(path: Path, attribute: str) -> Local:
    path = path.expanduser().resolve()
    if not path.is_file():
        raise EnvironmentNotFound(f"there is no file {path}")
    app = f"{path}:{attribute}" if attribute else str(path)
    return Local(name=attribute or path.stem, app=app, import_roots=(str(path.parent),), directory=str(path.parent))


def _installed(point: EntryPoint) -> Local:
    tried = []
    for directory in _directories(point.module):
        manifest = directory / _MANIFEST
        if manifest.is_file():
            declared = read_manifest(manifest)
            app = _app(declared, manifest)
            return Local(
                name=point.name,
                app=app,
                # old packages name their app from the package's own directory; others are importable as they are
                import_roots=(str(directory),) if _holds(directory, app) else (),
                client=point.value if point.attr else None,
                directory=str(directory),
                credentials=declared.credential_sources(directory),
                mcp_servers=_mcp_servers(declared),
            )
        tried.append(str(directory))
    if not tried:
        raise ConfigurationError(
            f"{point.name} is installed, but its module {point.module} is not; install its package again"
        )
    raise ConfigurationError(f"{point.name} is installed, but has no {_MANIFEST} in {' or '.join(tried)}")


def _directories(module: str) -> Iterator[Path]:
    """Directories beside a module, from its own up to its top package's, found without importing it."""
    top, *inner = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return
    for location in spec.submodule_search_locations or ([str(Path(spec.origin).parent)] if spec.origin else []):
        path = Path(location)
        steps = [path]
        for part in inner:
            path = path / part
            if path.is_dir():
                steps.append(path)
        yield from reversed(steps)


def _app(declared: Manifest, manifest: Path) -> str:
    if declared.app is None:
        raise ConfigurationError(f"{manifest} does not say what to serve; add a line such as 'app: server.app:app'")
    if not _MODULE.fullmatch(declared.app):
        raise ConfigurationError(f"{manifest}: app must look like module:attribute, not {declared.app!r}")
    return declared.app


def _mcp_servers(declared: Manifest) -> tuple[dict[str, Any], ...]:
    if not declared.mcp_servers:
        return ()
    from openenv.mounts import ServerDescription  # here: most environments mount none

    found = (ServerDescription.of(name, given) for name, given in declared.mcp_servers.items())
    return tuple({"name": one.name, **one.described()} for one in found)


def _import_roots(directory: Path, app: str) -> tuple[str, ...]:
    """Directories from which the app of a manifest's directory can be imported."""
    if _holds(directory, app):
        # files beside the manifest may import each other by the package's name too, which is the directory's
        is_package = (directory / "__init__.py").is_file()
        return (str(directory), str(directory.parent)) if is_package else (str(directory),)
    if _holds(directory.parent, app):
        return (str(directory.parent),)
    if _holds(directory / "src", app):
        return (str(directory / "src"),)
    return (str(directory),)


def _holds(directory: Path, app: str) -> bool:
    top = re.split(r"[.:]", app)[0]
    return (directory / top).is_dir() or (directory / f"{top}.py").is_file()


def _unknown(target: str) -> EnvironmentNotFound:
    import difflib

    names = installed()
    near = difflib.get_close_matches(_normal(target), names, n=1)
    if near:
        hint = f"did you mean {names[near[0]].name!r}?"
    elif names:
        hint = f"installed: {', '.join(sorted(point.name for point in names.values()))}."
    else:
        hint = "none are."
    remedy = "a path is written ./like/this"
    if not near and _DISTRIBUTION.fullmatch(target):  # nobody should install a name that is mistyped
        remedy = f"to install it: pip install openenv-{_normal(target)}; {remedy}"
    return EnvironmentNotFound(f"no environment {target!r} is installed; {hint} {remedy[0].upper()}{remedy[1:]}")


def _normal(name: str) -> str:
    """Names are compared as package indexes compare them."""
    return re.sub(r"[-_.]+", "-", name).lower()
