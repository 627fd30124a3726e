"""How another process finds what is served: a name to import, or an app that a module holds."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import os
import sys
from types import ModuleType
from typing import Any, Literal

import msgspec
from msgspec import Struct

from openenv.errors import ConfigurationError
from openenv.session.served.spec import EnvironmentSpec

__all__ = ["FactoryReference", "ModuleReference", "ObjectReference"]


class ModuleReference(Struct, frozen=True):
    """A module.

    Attributes:
        name: The name it is imported under.
        path: The file that it was loaded from, where its name alone does not lead there.
    """

    name: str
    path: str | None = None

    @staticmethod
    def of(module: ModuleType) -> ModuleReference:
        """The reference of a module that is loaded."""
        file = getattr(module, "__file__", None)
        if file is None or _file_of(module.__name__) == os.path.abspath(file):
            return ModuleReference(module.__name__)
        return ModuleReference(module.__name__, os.path.abspath(file))

    def load(self) -> ModuleType:
        """Import the module, unless that was done. Raises whatever the module does."""
        if self.path is None:
            return importlib.import_module(self.name)
        there = sys.modules.get(self.name)
        if there is not None and getattr(there, "__file__", None) == self.path:
            return there
        spec = importlib.util.spec_from_file_location(self.name, self.path)
        if spec is None or spec.loader is None:
            raise ConfigurationError(f"{self.path} is no Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[self.name] = module  # annotations of its classes are looked up there
        spec.loader.exec_module(module)
        return module


class ObjectReference(Struct, frozen=True):
    """What a module holds under a dotted name."""

    module: ModuleReference
    path: str

    @staticmethod
    def of(thing: Any) -> ObjectReference:
        """The reference of a class or function.

        Raises:
            ConfigurationError: It cannot be imported; the message says why, without a subject.
        """
        reason = _why_not(thing)
        if reason is not None:
            raise ConfigurationError(reason)
        module = sys.modules[thing.__module__]
        return ObjectReference(ModuleReference.of(module), thing.__qualname__)

    def load(self) -> Any:
        """The object. Raises whatever its module does."""
        module = self.module.load()
        try:
            return _inside(module, self.path)
        except AttributeError:
            raise ConfigurationError(
                f"{self.module.name} has no {self.path} when a worker process imports it; "
                "it must not depend on how or when it is imported"
            ) from None


class FactoryReference(Struct, frozen=True):
    """What is served, for a process that has yet to import it. ``FactoryReference.of`` makes one.

    Attributes:
        target: A factory, an app, or a function that makes an app.
        kind: Which of these.
        name: The name that is served.
        action, observation: The types that go with a factory, where its class does not tell them.
        mounts: Outside MCP servers that are mounted in it besides.
    """

    target: ObjectReference
    kind: Literal["factory", "app", "maker"]
    name: str
    action: ObjectReference | None = None
    observation: ObjectReference | None = None
    mounts: tuple[dict[str, Any], ...] = ()

    @staticmethod
    def of(
        spec: EnvironmentSpec, app_module: str | None = None, app: object = None, attribute: str | None = None
    ) -> FactoryReference:
        """How another process finds a spec. To be called once the module that made the app is complete.

        Args:
            spec: What is served.
            app_module: Name of the module that made the app, if that is known.
            app: The app, which has the spec as ``app.state.engine.spec``.
            attribute: What was served of that module, as a dotted name: the app, or a function that makes it.

        Raises:
            ConfigurationError: Another process cannot find it; the message says why, and what to do.
        """
        mounts = tuple(map(dict, spec.mounts))
        try:
            return msgspec.structs.replace(_by_factory(spec), mounts=mounts)
        except ConfigurationError as error:
            reason = error.message
        found = _by_app(spec, app_module, app, attribute)
        if found is not None:
            return msgspec.structs.replace(found, mounts=mounts)
        where = (
            "the app is made in the script that was run"
            if app_module == "__main__"
            else "no module holds the app under a name of its own"
        )
        raise ConfigurationError(
            f"{spec.name} cannot run in worker processes, which have to import it: its factory {reason}, and {where}; "
            "serve a class or function from the top of a module, or write 'app = create_app(...)' at the top of a "
            "module (not of the script that is run) and serve that"
        )

    def load(self) -> EnvironmentSpec:
        """Import and find the spec. Raises whatever the author's module does.

        Raises:
            ConfigurationError: It is not there, or is another one.
        """
        spec = self._found()
        return spec.with_mounts(self.mounts) if self.mounts else spec

    def _found(self) -> EnvironmentSpec:
        found = self.target.load()
        if self.kind == "factory":
            action = self.action.load() if self.action else None
            observation = self.observation.load() if self.observation else None
            return EnvironmentSpec.of(found, action, observation, self.name)
        app = found() if self.kind == "maker" else found
        spec = _spec_of(app)
        if spec is None or spec.name != self.name:
            what = "serves nothing that create_app made" if spec is None else f"serves {spec.name}, not {self.name},"
            raise ConfigurationError(
                f"{self.target.module.name}:{self.target.path} {what} when a worker process imports it; "
                "it must not depend on how or when it is imported"
            )
        return spec


def _by_factory(spec: EnvironmentSpec) -> FactoryReference:
    """The reference where the factory itself can be imported, and the types that go with it."""
    target = ObjectReference.of(spec.factory)
    plan = spec.plan
    action = None if plan and plan.action_type is spec.action_type else ObjectReference.of(spec.action_type)
    known = plan is not None and plan.observation_type is spec.observation_type
    observation = None if known else ObjectReference.of(spec.observation_type)
    return FactoryReference(target, "factory", spec.name, action, observation)


def _by_app(
    spec: EnvironmentSpec, app_module: str | None, app: object, attribute: str | None
) -> FactoryReference | None:
    """The reference through the module that holds the app, or a function that makes it."""
    own = sys.modules.get(app_module or "")
    if own is not None and attribute is not None and app_module != "__main__":
        target = ObjectReference(ModuleReference.of(own), attribute)
        try:
            found = _inside(own, attribute)
        except AttributeError:
            return None
        if found is app or _spec_of(found) is spec:
            return FactoryReference(target, "app", spec.name)
        return FactoryReference(target, "maker", spec.name) if callable(found) else None
    if app is None:
        return None
    for module in [own, *sys.modules.values()]:
        if not isinstance(module, ModuleType) or module.__name__ == "__main__":
            continue
        for name, value in list(vars(module).items()):
            if value is app:
                return FactoryReference(ObjectReference(ModuleReference.of(module), name), "app", spec.name)
    return None


def _spec_of(app: object) -> EnvironmentSpec | None:
    spec = getattr(getattr(getattr(app, "state", None), "engine", None), "spec", None)
    return spec if isinstance(spec, EnvironmentSpec) else None


def _why_not(thing: Any) -> str | None:
    """Why another process cannot import it, as the end of a sentence about it; ``None``: it can."""
    if isinstance(thing, functools.partial):
        return "is a functools.partial"
    qualname, name = getattr(thing, "__qualname__", None), getattr(thing, "__module__", None)
    if not isinstance(qualname, str) or not isinstance(name, str):
        return f"is an instance of {type(thing).__name__}"
    if "<lambda>" in qualname:
        return "is a lambda"
    if "<locals>" in qualname:
        return f"({qualname}) is defined inside a function"
    if name == "__main__":
        return f"({qualname}) is defined in the script that was run (__main__)"
    try:
        found = _inside(sys.modules[name], qualname)
    except (KeyError, AttributeError):
        return f"({qualname}) is not to be found in {name}"
    if found is thing or (inspect.ismethod(thing) and found == thing):  # methods are made anew each time
        return None
    return f"({qualname}) is not what {name} holds under that name"


def _inside(module: ModuleType, path: str) -> Any:
    return functools.reduce(getattr, path.split("."), module)


def _file_of(name: str) -> str | None:
    """The file that importing a name anew would load."""
    parent = name.rpartition(".")[0]
    path = getattr(sys.modules.get(parent), "__path__", None) if parent else None
    if parent and path is None:
        return None
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        spec = find(name, path) if find is not None else None
        if spec is not None:
            return os.path.abspath(spec.origin) if spec.origin else None
    return None
