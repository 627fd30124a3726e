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
            "OPENENV_IMAGE_DIGEST": "sha256:12ab",
        }
    )
    assert found == Settings(
        debug=True, store=Path("kept/here"), host="::1", port=0, max_sessions=12, image_digest="sha256:12ab"
    )
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
    ],
)
def test_a_wrong_value_names_its_variable(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} must be .*, not '{value}'"):
        load_settings({name: value})


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
