"""From a reference to the application it stands for: an app, an Environment class, or a function that makes either."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any

from openenv.app.create import create_app, guarded_elsewhere
from openenv.app.resolve import Local, split_file
from openenv.environment import Environment, EnvironmentPlan, Isolation, read_credentials
from openenv.errors import ConfigurationError, EnvironmentNotFound, FactoryFailed, OpenEnvError
from openenv.server import AccessOptions, Role
from openenv.session import JournalOptions, SessionEngine, WorkerOptions

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from openenv.record import JournalMode
    from openenv.server import Surface
    from openenv.tools import Mode

__all__ = ["SessionOptions", "equip", "load_app"]

_DEFAULT_ATTRIBUTE = "app"


@dataclass(frozen=True)
class SessionOptions:
    """What whoever serves an application may set instead of the application; ``None`` leaves what it says.

    Attributes:
        max_sessions: Sessions at the same time, 1 or more.
        lease_s: Seconds a session outlives its last connection, above 0.
        idle_timeout_s: Seconds without a request after which a session ends that a connection holds, above 0.
        isolation: Where sessions live; see ``create_app``.
        workers: How worker processes are set up.
        journal: Where the journal is kept.
        auth: Who may do what.
        mode: What it is served for.
    """

    max_sessions: int | None = None
    lease_s: float | None = None
    idle_timeout_s: float | None = None
    isolation: Isolation | None = None
    workers: WorkerOptions | None = None
    journal: JournalOptions | None = None
    auth: AccessOptions | None = None
    mode: Mode | None = None

    @staticmethod
    def of(
        *,
        worker_memory_mb: int | None = None,
        worker_cpu_s: int | None = None,
        journal: str | None = None,
        journal_mode: str = "relaxed",
        journal_is_required: bool = True,
        auth: bool = False,
        tokens: Mapping[str, str] = MappingProxyType({}),
        allowed_hosts: Sequence[str] = (),
        allowed_origins: Sequence[str] = (),
        **options: Any,
    ) -> SessionOptions:
        """The options by their names on the command line; a ``journal_mode`` of ``off`` is none.

        ``tokens`` holds those of the roles by their names.
        """
        if auth or allowed_hosts or allowed_origins:
            of_roles = {Role(name): token for name, token in tokens.items()}
            options["auth"] = AccessOptions(auth, of_roles, tuple(allowed_hosts), tuple(allowed_origins))
        if journal is not None and journal_mode != "off":
            mode: JournalMode = "durable" if journal_mode == "durable" else "relaxed"
            kept = None if journal_is_required else _KEEP_BYTES
            options["journal"] = JournalOptions(journal, mode, kept, journal_is_required)
        workers = None
        if worker_memory_mb is not None or worker_cpu_s is not None:
            memory = None if worker_memory_mb is None else worker_memory_mb * 1024 * 1024
            workers = WorkerOptions(memory_bytes=memory, cpu_s=worker_cpu_s)
        return SessionOptions(**options, workers=workers)


_AS_THE_APP_SAYS = SessionOptions()
_KEEP_BYTES = 1024**3  # of a journal that nobody asked for


def load_app(local: Local, options: SessionOptions = _AS_THE_APP_SAYS) -> ASGIApp:
    """Import an environment and make its application. Its import roots stay on ``sys.path``.

    Args:
        local: What to serve.
        options: What to set in it.

    Raises:
        EnvironmentNotFound: The module, the attribute or the class does not exist.
        ConfigurationError: It cannot be imported or served, credentials are missing, or it cannot be served with that
            many sessions; in the last case ``details`` holds the number that it takes as ``max_sessions``.
        FactoryFailed: The function that makes it raised.
    """
    for root in reversed(local.import_roots):
        if root not in sys.path:
            sys.path.insert(0, root)
    with guarded_elsewhere():
        app = _as_app(_found(local.app), local.app)
    _tell_where(app, local.app)
    equip(app, local, options)
    return app


def equip(app: ASGIApp, local: Local, options: SessionOptions) -> None:
    """Set in an application what whoever serves it wants, and give its environments what they need.

    Args:
        app: The application, which is not served yet.
        local: What it is of.
        options: What to set in it.

    Raises:
        ConfigurationError: Credentials are missing, or it was not made by ``create_app`` and there is something to set.
    """
    credentials = read_credentials(local.credentials, local.name)
    if options != _AS_THE_APP_SAYS or credentials:
        _set(app, local, options)
    engine = _engine_of(app)
    if credentials and engine is not None:
        engine.equip(credentials=credentials)
    if local.mcp_servers:
        if engine is None:
            raise ConfigurationError(f"{local.app} was not made by create_app, so no MCP servers can be mounted in it")
        engine.equip(mounts=local.mcp_servers)


def _engine_of(app: ASGIApp) -> SessionEngine | None:
    engine = getattr(getattr(app, "state", None), "engine", None)
    return engine if isinstance(engine, SessionEngine) else None


def _tell_where(app: ASGIApp, reference: str) -> None:
    """Tell the engine what was served, so that worker processes find it too."""
    engine, split = _engine_of(app), split_file(reference)
    if engine is None:
        return
    if split is None:
        module, _, attribute = reference.partition(":")
        engine.workers.module, engine.workers.attribute = module, attribute or _DEFAULT_ATTRIBUTE
    else:
        engine.workers.module = next(
            (name for name, one in [*sys.modules.items()] if getattr(one, "__file__", None) == str(split[0])), None
        )
        engine.workers.attribute = split[1] or None


def _set(app: ASGIApp, local: Local, options: SessionOptions) -> None:
    engine = _engine_of(app)
    if engine is None:
        raise ConfigurationError(
            f"the sessions of {local.name} are its own business: {local.app} was not made by create_app"
        )
    engine.leases.set(options.lease_s, options.idle_timeout_s)
    if options.workers is not None:
        engine.workers.options = options.workers
    if options.journal is not None:
        engine.journal = options.journal
    surface: Surface = app.state.surface  # type: ignore[attr-defined] # it was made by create_app
    if options.auth is not None:
        surface.guard(options.auth)
    if options.mode is not None:
        surface.serve_as(options.mode)
    if options.isolation is not None:
        engine.isolate(options.isolation)
    if options.max_sessions is None:
        return
    try:
        engine.resize(options.max_sessions)
    except ConfigurationError as error:  # with the number that it does take, for who asked
        raise ConfigurationError(error.message, details={"max_sessions": engine.capacity}) from error


def _found(reference: str) -> Any:
    """The object that a reference names."""
    split = split_file(reference)
    if split is not None:
        path, attribute = split
        module = _run(path)
        return _attribute(module, attribute, reference) if attribute else _only_environment(module, reference)
    name, _, attribute = reference.partition(":")
    return _attribute(_import(name, reference), attribute or _DEFAULT_ATTRIBUTE, reference)


def _import(name: str, reference: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise EnvironmentNotFound(f"{reference}: there is no module {error.name}") from error
        raise _broken(name, error) from error
    except (OpenEnvError, KeyboardInterrupt):
        raise
    except BaseException as error:  # whatever the author's module raises, also sys.exit
        raise _broken(name, error) from error


def _run(path: Path) -> ModuleType:
    """Import a file that is no part of a package."""
    name = path.stem if path.stem not in sys.modules else f"_openenv_file_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # for the type checker: it ends with .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # annotations of its classes are looked up there
    try:
        spec.loader.exec_module(module)
    except (OpenEnvError, KeyboardInterrupt):
        raise
    except FileNotFoundError as error:
        if error.filename == str(path):
            raise EnvironmentNotFound(f"there is no file {path}") from error
        raise _broken(str(path), error) from error
    except BaseException as error:  # whatever the author's file raises, also sys.exit
        raise _broken(str(path), error) from error
    return module


def _broken(what: str, error: BaseException) -> ConfigurationError:
    """The error of an import, in one line that says where it happened."""
    text = " ".join(str(error).split())
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames[1:] else ""
    kind = type(error).__name__
    return ConfigurationError(
        f"{what} cannot be imported: {kind}{': ' if text else ''}{text}{where}",
        details={"traceback": "".join(traceback.format_exception(error))},
    )


def _attribute(module: ModuleType, path: str, reference: str) -> Any:
    found: Any = module
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            place = reference.removesuffix(f":{path}")
            classes = ", ".join(f"{place}:{cls.__name__}" for cls in _environments(module))
            hint = f"; its Environment classes: {classes}" if classes else ""
            raise EnvironmentNotFound(f"{reference}: {module.__name__} has no {path}{hint}") from None
    return found


def _environments(module: ModuleType) -> list[type[Environment[Any, Any, Any]]]:
    """The Environment classes that a module defines itself and that can be built."""
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Environment)
        and value.__module__ == module.__name__
        and not inspect.isabstract(value)
    ]


def _only_environment(module: ModuleType, reference: str) -> type[Environment[Any, Any, Any]]:
    classes = _environments(module)
    if len(classes) == 1:
        return classes[0]
    if not classes:
        raise EnvironmentNotFound(
            f"{reference} defines no Environment class with reset, step and state; to serve something else in it, "
            f"name it: {reference}:app"
        )
    choices = ", ".join(f"{reference}:{cls.__name__}" for cls in classes)
    raise EnvironmentNotFound(f"{reference} defines several Environment classes; name one: {choices}")


def _as_app(found: Any, reference: str) -> ASGIApp:
    if isinstance(found, Environment) or (isinstance(found, type) and issubclass(found, Environment)):
        return create_app(found)  # type: ignore[arg-type]  # an instance is refused there, with what to pass instead
    if isinstance(found, type) or not callable(found):
        raise ConfigurationError(
            f"{reference} is {found!r}; it must be an app, an Environment class or a function that makes one"
        )
    needed = _needed_arguments(found)
    if needed == 0:
        return _made(found, reference)
    if needed == 3:  # scope, receive, send
        return found  # type: ignore[no-any-return]
    raise ConfigurationError(
        f"{reference} takes {needed} arguments; an app takes three, a function that makes one takes none"
    )


def _needed_arguments(function: Callable[..., Any]) -> int:
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # a compiled callable that does not say; functions written to make something do
        return 3
    return sum(one.kind in positional and one.default is one.empty for one in parameters)


def _made(factory: Callable[[], Any], reference: str) -> ASGIApp:
    """The app that a function makes, or the one for the environments that it makes."""
    try:
        made = factory()
    except (OpenEnvError, KeyboardInterrupt):
        raise
    except BaseException as error:  # whatever the author's function raises, also sys.exit
        raise FactoryFailed(f"{reference}() raised {type(error).__name__}: {error}") from error
    if not isinstance(made, Environment):
        return (
            _as_app(made, f"{reference}()") if callable(made) and _needed_arguments(made) == 3 else _refuse(reference)
        )
    plan = EnvironmentPlan.of(type(made))
    made.close()  # it was built to learn its class; every session builds its own
    return create_app(factory, plan.action_type, plan.observation_type, env_name=plan.name)


def _refuse(reference: str) -> ASGIApp:
    raise ConfigurationError(f"{reference}() made neither an app nor an Environment")
