"""What environment variables say of who may do what holds under any ASGI server, not under `openenv serve` alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from openenv import Action, Environment, Observation, State, create_app
from openenv.app.load import load_app
from openenv.app.resolve import Local
from openenv.errors import ConfigurationError
from openenv.server import AccessOptions

TOKEN = "orchestrator-0123456789"
VARIABLES = ("OPENENV_AUTH", "OPENENV_MODE", "OPENENV_ALLOWED_HOSTS", "OPENENV_ORCHESTRATOR_TOKEN")


class Kept(Environment[Action, Observation, State]):
    def reset(self) -> Observation:
        return Observation()

    def step(self, action: Action) -> Observation:
        return Observation()

    @property
    def state(self) -> State:
        return State()


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for one in VARIABLES:
        for name in (one, f"{one}_FILE"):
            monkeypatch.delenv(name, raising=False)


async def answer(app: Any, host: str = "localhost", token: str | None = None) -> int:
    """The status of a request for what the orchestrator may ask."""
    headers = {"Host": host} if token is None else {"Host": host, "Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8000") as client:
        return (await client.get("/schema", headers=headers)).status_code


async def test_a_token_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENENV_AUTH", "1")
    monkeypatch.setenv("OPENENV_ORCHESTRATOR_TOKEN", TOKEN)
    app = create_app(Kept)
    assert await answer(app) == 401
    assert await answer(app, token=TOKEN) == 200


async def test_without_a_known_token_nobody_is_let_in(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OPENENV_AUTH", "1")
    assert await answer(create_app(Kept), token=TOKEN) == 401
    assert "nobody is let in: OPENENV_AUTH is set, and OPENENV_ORCHESTRATOR_TOKEN is not" in caplog.text


async def test_a_token_that_nobody_is_asked_for_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OPENENV_ORCHESTRATOR_TOKEN", TOKEN)
    assert await answer(create_app(Kept)) == 200
    assert "nobody is asked for the token of OPENENV_ORCHESTRATOR_TOKEN; set OPENENV_AUTH=1" in caplog.text


async def test_a_name_is_answered_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENENV_ALLOWED_HOSTS", "env.example.org")
    app = create_app(Kept)
    assert await answer(app, host="env.example.org") == 200
    assert await answer(app, host="evil.example.com") == 403


async def test_what_the_application_says_goes_before_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENENV_AUTH", "1")
    assert await answer(create_app(Kept, auth=AccessOptions(enabled=False))) == 200


async def test_without_the_variables_everybody_is_let_in() -> None:
    assert await answer(create_app(Kept)) == 200


def test_a_token_that_is_too_short_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENENV_AUTH", "1")
    monkeypatch.setenv("OPENENV_ORCHESTRATOR_TOKEN", "short")
    with pytest.raises(ConfigurationError, match="16 characters or more"):
        create_app(Kept)


def test_whoever_loads_an_application_says_it_in_options(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """So that the server of ``openenv.make``, whose client has no token, does not ask for one."""
    (tmp_path / "kept_by_make.py").write_text(
        "from openenv import create_app\nfrom tests.unit.app.test_guarded import Kept\napp = create_app(Kept)\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("OPENENV_AUTH", "1")
    app: Any = load_app(Local("kept", "kept_by_make:app"))
    assert not app.state.access.enabled
