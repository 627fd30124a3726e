"""Secrets of an environment: where they come from, and that they do not come out again."""

from __future__ import annotations

import base64
import copy
import dataclasses
import json
import pickle
from collections import namedtuple
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from openenv.environment import Credentials, CredentialSource, Environment, read_credentials, read_manifest
from openenv.errors import ActionInvalid, ConfigurationError

KEY = 'pä"ss\\wort/+= 7'
KEPT = Credentials({"API_KEY": KEY, "PIN": "4711"})


class Model(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)

    text: str
    inner: Any = None


class Struct(msgspec.Struct, frozen=True):
    text: str


@dataclasses.dataclass(frozen=True)
class Data:
    text: str
    more: tuple[Any, ...] = ()


Pair = namedtuple("Pair", "a b")


@pytest.mark.parametrize(
    "form",
    [
        KEY,
        base64.b64encode(KEY.encode()).decode(),
        base64.urlsafe_b64encode(KEY.encode()).decode().rstrip("="),
        quote(KEY),
        quote(KEY, safe=""),
        quote(KEY, safe="").lower().replace("%5c", "%5c"),
        quote_plus(KEY),
        json.dumps(KEY)[1:-1],
        json.dumps(KEY, ensure_ascii=False)[1:-1],
        json.dumps(json.dumps({"k": KEY})),
        repr(KEY)[1:-1],
    ],
)
def test_every_form_of_a_secret_is_found(form: str) -> None:
    cleaned = KEPT.redacted(f"before {form} after")
    assert "[API_KEY]" in cleaned
    assert cleaned.startswith("before ")
    assert cleaned.endswith(" after")
    assert "wort" not in cleaned


@pytest.mark.parametrize("before", [b"", b"u", b"us", b"use", b"user:"])
@pytest.mark.parametrize("after", [b"", b"x", b"xy"])
def test_base64_of_something_longer_does_not_hold_it(before: bytes, after: bytes) -> None:
    text = base64.b64encode(before + KEY.encode() + after).decode()
    cleaned = KEPT.redacted(f"Basic {text}")
    assert "[API_KEY]" in cleaned
    left = cleaned.removeprefix("Basic ").replace("[API_KEY]", "")
    assert len(left) <= 2 + len(base64.b64encode(before + after)) + 4


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": [KEY, 1, None, 2.5, True], KEY: "4711"}, {"a": ["[API_KEY]", 1, None, 2.5, True], "[API_KEY]": "[PIN]"}),
        ((KEY, {"x": {KEY}}), ("[API_KEY]", {"x": {"[API_KEY]"}})),
        (frozenset({KEY}), frozenset({"[API_KEY]"})),
        (Pair(KEY, 1), Pair("[API_KEY]", 1)),
        (
            Model(text=KEY, inner=Model(text="4711"), extra=KEY),
            Model(text="[API_KEY]", inner=Model(text="[PIN]"), extra="[API_KEY]"),
        ),
        (Struct(KEY), Struct("[API_KEY]")),
        (Data("a", (KEY,)), Data("a", ("[API_KEY]",))),
        (f"x{KEY}y".encode(), b"x[API_KEY]y"),
        (bytearray(b"4711"), bytearray(b"[PIN]")),
        (msgspec.Raw(b'{"a":"4711"}'), msgspec.Raw(b'{"a":"[PIN]"}')),
    ],
)
def test_it_is_found_however_deep(value: Any, expected: Any) -> None:
    before = copy.deepcopy(value)
    cleaned = KEPT.redacted(value)
    assert type(cleaned) is type(value)
    assert cleaned == expected
    assert value == before, "what was given is another now"


def test_arrays_and_errors_are_looked_through() -> None:
    names = np.array(["a", KEY, "47110"])
    assert KEPT.redacted(names).tolist() == ["a", "[API_KEY]", "[PIN]0"]
    objects = np.array([[KEY, 3]], dtype=object)
    assert KEPT.redacted(objects).tolist() == [["[API_KEY]", 3]]
    error = KEPT.redacted(ActionInvalid(f"no {KEY}", details={"input": [KEY]}))
    assert type(error) is ActionInvalid
    assert (error.message, str(error), error.details) == ("no [API_KEY]",) * 2 + ({"input": ["[API_KEY]"]},)
    assert error.args == ("no [API_KEY]",)


@pytest.mark.parametrize(
    "value",
    ["text", 4711, [1, "a"], {"a": (1,)}, Model(text="x"), Struct("x"), b"x", None, np.arange(3), np.array(["a"])],
)
def test_what_holds_none_is_not_copied(value: Any) -> None:
    assert KEPT.redacted(value) is value


def test_nothing_nests_too_deep_to_be_looked_through() -> None:
    value: Any = KEY
    for _ in range(5000):
        value = [value]
    cleaned = KEPT.redacted(value)
    while isinstance(cleaned, list):
        (cleaned,) = cleaned
    assert KEY not in cleaned


SECRETS = st.text(st.characters(codec="utf-8", exclude_characters="[]"), min_size=6, max_size=20).map(str.strip)


@given(secret=SECRETS.filter(lambda text: len(text) >= 6), around=st.text(max_size=5), shift=st.binary(max_size=4))
def test_no_secret_survives_any_form(secret: str, around: str, shift: bytes) -> None:
    kept = Credentials({"K": secret})
    for form in (secret, quote(secret, safe=""), json.dumps(secret), base64.b64encode(secret.encode()).decode()):
        assert secret not in kept.redacted(around + form + around).replace("[K]", "")
    whole = kept.redacted(base64.b64encode(shift + secret.encode() + shift).decode())
    assert len(secret.encode()) < 9 or "[K]" in whole


def test_short_secrets_are_refused_without_being_told() -> None:
    with pytest.raises(ConfigurationError, match="4 characters or more: B") as raised:
        Credentials({"A": "abcd", "B": "xyz"})
    assert "xyz" not in str(raised.value)


def test_neither_repr_nor_pickle_has_the_values() -> None:
    assert repr(KEPT) == str(KEPT) == "Credentials(API_KEY=..., PIN=...)"
    assert f"{[KEPT]}" == "[Credentials(API_KEY=..., PIN=...)]"
    assert b"4711" not in pickle.dumps(KEPT)
    assert dict(pickle.loads(pickle.dumps(KEPT))) == {}
    assert copy.deepcopy(KEPT) is copy.copy(KEPT) is KEPT
    assert dict(KEPT) == {"API_KEY": KEY, "PIN": "4711"}
    assert dict(Environment.credentials) == {}


# Where they come from


def sources_of(tmp_path: Path, declared: str) -> tuple[CredentialSource, ...]:
    path = tmp_path / "openenv.yaml"
    path.write_text(f"name: mine\n{declared}", encoding="utf-8")
    return read_manifest(path).credential_sources(tmp_path)


def test_a_manifest_names_them(tmp_path: Path) -> None:
    assert sources_of(tmp_path, "") == ()
    assert sources_of(tmp_path, "credentials: [A, B]\n") == (CredentialSource("A"), CredentialSource("B"))
    declared = "credentials:\n  A:\n  B: {env: OTHER}\n  C: {file: c.txt, optional: true}\n  D: {file: /run/d}\n"
    assert sources_of(tmp_path, declared) == (
        CredentialSource("A"),
        CredentialSource("B", env="OTHER"),
        CredentialSource("C", file=str(tmp_path / "c.txt"), optional=True),
        CredentialSource("D", file="/run/d"),
    )


@pytest.mark.parametrize("declared", ["credentials: A\n", "credentials: {A: {value: hunter2}}\n", "credentials: [1]\n"])
def test_a_manifest_that_says_it_wrongly_is_an_error(tmp_path: Path, declared: str) -> None:
    with pytest.raises(ConfigurationError, match="credentials"):
        sources_of(tmp_path, declared)


def test_they_are_read_from_variables_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "b").write_text(" of-b \n", encoding="utf-8")
    (tmp_path / "c.txt").write_text("of-c", encoding="utf-8")
    monkeypatch.setenv("A", " of-a ")
    monkeypatch.setenv("OTHER_FILE", str(tmp_path / "b"))
    monkeypatch.setenv("E", "of-e")
    found = read_credentials(
        (
            CredentialSource("A"),
            CredentialSource("B", env="OTHER"),
            CredentialSource("C", file=str(tmp_path / "c.txt")),
            CredentialSource("D", optional=True),
            CredentialSource("E", env="E", file=str(tmp_path / "none")),
        ),
        "mine",
    )
    assert found == {"A": "of-a", "B": "of-b", "C": "of-c", "E": "of-e"}


def test_all_that_are_missing_are_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("B", "")
    gone = str(tmp_path / "gone")
    sources = (CredentialSource("A"), CredentialSource("B", env="OTHER"), CredentialSource("C", file=gone))
    with pytest.raises(ConfigurationError) as raised:
        read_credentials(sources, "mine")
    assert str(raised.value) == (
        "mine needs credentials that are not there: A (set A or A_FILE); B (set OTHER or OTHER_FILE); "
        f"C (write it to {gone})"
    )


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="the credential A cannot be read from"):
        CredentialSource("A", file=str(tmp_path)).read()
    monkeypatch.setenv("A_FILE", str(tmp_path / "none"))
    with pytest.raises(ConfigurationError, match=r"A_FILE names .* which cannot be read"):
        CredentialSource("A").read()
