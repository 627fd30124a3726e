"""What the command of a package sets in its application."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from openenv.app.load import load_app
from openenv.app.packaged import prepare
from openenv.app.resolve import Local
from openenv.environment import Environment
from openenv.errors import ConfigurationError
from openenv.types import Action, Observation, State

MANIFEST = "name: kept\napp: kept.server.app:app\ncredentials: [KEPT_KEY]\n"
APP = """
from openenv import Environment, Action, Observation, State, create_app


class Kept(Environment[Action, Observation, State]):
    def reset(self): return Observation()
    def step(self, action): return Observation()
    @property
    def state(self): return State()


app = create_app(Kept)
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The application of a package whose manifest names a credential."""
    server = tmp_path / "kept" / "server"
    server.mkdir(parents=True)
    for directory in (server, server.parent):
        (directory / "__init__.py").touch()
    (server.parent / "openenv.yaml").write_text(MANIFEST, encoding="utf-8")
    (server / "app.py").write_text(APP, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("OPENENV_AUTH", "OPENENV_MODE", "KEPT_KEY"):
        monkeypatch.delenv(name, raising=False)
    yield load_app(Local("kept", "kept.server.app:app"))
    for name in [name for name in sys.modules if name.split(".")[0] == "kept"]:
        del sys.modules[name]


def test_credentials_come_from_the_manifest_of_the_package(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="kept needs credentials that are not there: KEPT_KEY"):
        prepare(app, "kept")
    monkeypatch.setenv("KEPT_KEY", "value")
    assert prepare(app, "kept").drawn == {}
    assert dict(app.state.engine.spec.credentials) == {"KEPT_KEY": "value"}
    assert not app.state.access.enabled


def test_tokens_are_asked_for_where_the_variable_says_so(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEPT_KEY", "value")
    monkeypatch.setenv("OPENENV_AUTH", "1")
    monkeypatch.setenv("OPENENV_GRADER_TOKEN", "of-the-grader-01")
    guarded = prepare(app, "kept")
    assert ({*guarded.drawn}, guarded.given) == ({"orchestrator", "observer"}, ("grader",))
    assert app.state.access.enabled
    assert {role.value: token for role, token in app.state.access.tokens.items()} == {
        **guarded.drawn,
        "grader": "of-the-grader-01",
    }


def test_an_application_without_a_manifest_is_left_as_it_is() -> None:
    class Bare(Environment[Action, Observation, State]):
        def reset(self) -> Observation:
            return Observation()

        def step(self, action: Action) -> Observation:
            return Observation()

        @property
        def state(self) -> State:
            return State()

    from openenv.app import create_app

    bare = create_app(Bare)
    bare.state.engine.workers.module = None
    assert prepare(bare, "bare").options["auth"] is False
    assert dict(bare.state.engine.spec.credentials) == {}
