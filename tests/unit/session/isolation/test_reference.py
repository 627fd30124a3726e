"""Finding what is served from another process: what can be found, and what is refused with the reason and the fix."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import msgspec
import pytest
from tests.unit.session.isolation import crashing
from tests.unit.session.isolation.crashing import Move, Seen, World

from openenv.errors import ConfigurationError
from openenv.session import EnvironmentSpec, SessionEngine
from openenv.session.isolation import FactoryReference
from openenv.session.isolation.reference import ModuleReference

HERE = crashing.__name__


def spec_of(env: Any, **types: Any) -> EnvironmentSpec:
    return EnvironmentSpec.of(env, types.get("action", Move), types.get("observation", Seen), "world")


def copy(reference: FactoryReference) -> FactoryReference:
    """As it arrives in another process."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(reference), type=FactoryReference)


@pytest.mark.parametrize("env", [World, crashing.make_world, crashing.Maker.make])
def test_what_a_module_holds_is_found_by_its_name(env: Any) -> None:
    reference = copy(FactoryReference.of(spec_of(env)))
    assert (reference.kind, reference.target.module) == ("factory", ModuleReference(HERE))
    found = reference.load()
    assert found.factory == env
    assert (found.name, found.action_type, found.observation_type) == ("world", Move, Seen)


def test_types_that_the_class_does_not_tell_go_along() -> None:
    found = copy(FactoryReference.of(spec_of(crashing.make_async, observation=crashing.Plain))).load()
    assert (found.action_type, found.observation_type) == (Move, crashing.Plain)


@pytest.mark.parametrize("name", ["app_of_lambda", "app_of_partial"])
def test_lambdas_and_partials_are_found_through_the_app(name: str) -> None:
    app = getattr(crashing, name)
    spec = app.state.engine.spec
    for known in ({"app_module": HERE}, {"app_module": None}, {"app_module": HERE, "attribute": name}):
        reference = copy(FactoryReference.of(spec, app=app, **known))
        assert (reference.kind, reference.target.path) == ("app", name)
        assert reference.load() is spec


def test_an_app_that_a_function_makes_is_made_again() -> None:
    app = crashing.make_app()
    reference = copy(FactoryReference.of(app.state.engine.spec, HERE, app, "make_app"))
    assert reference.kind == "maker"
    assert isinstance(reference.load().factory(), World)


def in_main() -> Any:
    return type("World", (World,), {"__module__": "__main__", "__qualname__": "World"})


@pytest.mark.parametrize(
    ("env", "reason"),
    [
        (lambda: World(5), "its factory is a lambda"),
        (functools.partial(World), "its factory is a functools.partial"),
        (crashing.closure(), r"closure.<locals>.make\) is defined inside a function"),
        (crashing.Maker(), "its factory is an instance of Maker"),
        (in_main(), r"\(World\) is defined in the script that was run \(__main__\)"),
        (type("World", (World,), {"__module__": HERE}), f"is not what {HERE} holds under that name"),
        (type("Gone", (World,), {"__module__": HERE}), f"is not to be found in {HERE}"),
    ],
)
def test_what_cannot_be_found_is_refused_with_the_reason_and_the_fix(env: Any, reason: str) -> None:
    app = SimpleNamespace(state=SimpleNamespace(engine=SessionEngine(spec_of(env))))
    with pytest.raises(ConfigurationError, match=reason) as refused:
        FactoryReference.of(app.state.engine.spec, HERE, app)
    assert "no module holds the app" in refused.value.message
    assert "write 'app = create_app(...)' at the top of a module" in refused.value.message


def test_an_app_of_the_script_that_is_run_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    main = ModuleType("__main__")
    app = crashing.app_of(lambda: World(5))
    main.app = app  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "__main__", main)
    for attribute in (None, "app"):
        with pytest.raises(ConfigurationError, match="the app is made in the script that was run"):
            FactoryReference.of(app.state.engine.spec, "__main__", app, attribute)


def test_an_attribute_that_is_not_there_is_refused() -> None:
    app = crashing.make_app()
    with pytest.raises(ConfigurationError, match="is a lambda"):
        FactoryReference.of(app.state.engine.spec, HERE, app, "nothing.here")


def test_a_module_from_a_file_is_found_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a_world_of_its_own.py"
    path.write_text(f"from {HERE} import World as Base\nclass World(Base):\n    pass\n", encoding="utf-8")
    by_path = ModuleReference("a_world_of_its_own", str(path))
    monkeypatch.setitem(sys.modules, by_path.name, ModuleType(by_path.name))
    module = by_path.load()
    assert by_path.load() is module
    reference = copy(FactoryReference.of(spec_of(module.World)))
    assert reference.target.module == by_path
    monkeypatch.delitem(sys.modules, by_path.name)
    assert reference.load().factory is not module.World
    monkeypatch.syspath_prepend(tmp_path)
    assert FactoryReference.of(spec_of(reference.load().factory)).target.module == ModuleReference(by_path.name)


def test_what_is_another_thing_in_the_other_process_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    by_name = FactoryReference.of(spec_of(crashing.make_world))
    by_app = FactoryReference.of(crashing.app_of_lambda.state.engine.spec, HERE, crashing.app_of_lambda)
    monkeypatch.delattr(crashing, "make_world")
    with pytest.raises(ConfigurationError, match="has no make_world when a worker process imports it"):
        by_name.load()
    monkeypatch.setattr(crashing, "app_of_lambda", crashing.app_of(World))
    crashing.app_of_lambda.state.engine = SessionEngine(EnvironmentSpec.of(World, name="other"))
    with pytest.raises(ConfigurationError, match="app_of_lambda serves other, not world"):
        by_app.load()
    monkeypatch.setattr(crashing, "app_of_lambda", object())
    with pytest.raises(ConfigurationError, match="serves nothing that create_app made"):
        by_app.load()
