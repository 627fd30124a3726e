"""The environment variables and what they set."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from openenv.errors import ConfigurationError
from openenv.settings import Settings, load_settings, variables


def test_nothing_set_gives_the_defaults() -> None:
    assert load_settings({}) == Settings()
    assert load_settings({"OPENENV_PORT": " ", "OPENENV_STORE": ""}) == Settings()


def test_every_variable_is_read() -> None:
    found = load_settings(
        {
            "OPENENV_DEBUG": "Yes",
            "OPENENV_STORE": "kept/here",
            "OPENENV_HOST": "::1",
            "OPENENV_PORT": "0",
            "OPENENV_MAX_SESSIONS": "12",
            "OPENENV_AUTH": "1",
            "OPENENV_ALLOWED_HOSTS": "a.example.org, *.b.org,",
            "OPENENV_MODE": "production",
            "OPENENV_ORCHESTRATOR_TOKEN": " o ",
            "OPENENV_AGENT_TOKEN": "a",
            "OPENENV_GRADER_TOKEN": "g",
            "OPENENV_OBSERVER_TOKEN": "v",
            "OPENENV_IMAGE_DIGEST": "sha256:12ab",
        }
    )
    assert found == Settings(
        debug=True,
        store=Path("kept/here"),
        host="::1",
        port=0,
        max_sessions=12,
        auth=True,
        allowed_hosts=("a.example.org", "*.b.org"),
        mode="production",
        orchestrator_token="o",
        agent_token="a",
        grader_token="g",
        observer_token="v",
        image_digest="sha256:12ab",
    )
    assert "orchestrator_token" not in repr(found)
    assert load_settings({"OPENENV_DEBUG": "off"}).debug is False


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPENENV_DEBUG", "maybe"),
        ("OPENENV_PORT", "http"),
        ("OPENENV_PORT", "65536"),
        ("OPENENV_PORT", "-1"),
        ("OPENENV_MAX_SESSIONS", "0"),
        ("OPENENV_MAX_SESSIONS", "many"),
        ("OPENENV_MODE", "training"),
    ],
)
def test_a_wrong_value_names_its_variable(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} must be .*, not '{value}'"):
        load_settings({name: value})


def test_a_token_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(" secret\n", encoding="utf-8")
    named = {"OPENENV_GRADER_TOKEN_FILE": str(tmp_path / "token")}
    assert load_settings(named).grader_token == "secret"
    assert load_settings({**named, "OPENENV_GRADER_TOKEN": "mine"}).grader_token == "mine"
    with pytest.raises(ConfigurationError, match=r"OPENENV_GRADER_TOKEN_FILE names .*, which cannot be read: No such"):
        load_settings({"OPENENV_GRADER_TOKEN_FILE": str(tmp_path / "none")})


def test_only_what_is_wanted_is_looked_at() -> None:
    assert load_settings({"OPENENV_PORT": "door", "OPENENV_HOST": "::1"}, only=("host",)) == Settings(host="::1")


def test_the_process_is_read_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENENV_PORT", "4321")
    assert load_settings().port == 4321


def test_the_reference_lists_every_field_once() -> None:
    listed = variables()
    assert [one.field for one in listed] == [field.name for field in dataclasses.fields(Settings)]
    assert len({one.name for one in listed}) == len(listed)
    for one in listed:
        assert one.name == f"OPENENV_{one.field.upper()}"
        assert one.type
        assert one.default
        assert one.meaning.endswith(".")
