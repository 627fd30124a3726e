"""The page of the wire shows the golden frames, all messages and all of their fields."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
from tests.docs.snippets import ROOT, prose, snippets_of

from openenv.protocol import Hello, Limits, Reply, Request

PAGE = ROOT / "docs" / "reference" / "wire.md"
GOLDEN = ROOT / "tests" / "wire" / "golden"
SHOWN = {snippet.mark.removeprefix("golden="): snippet for snippet in snippets_of(PAGE)}
OF_ALL = {"session", "id", "ack"}  # said once


def golden(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("name", SHOWN)
def test_a_frame_is_the_golden_one(name: str) -> None:
    file = golden(name)
    shown = json.loads(SHOWN[name].text)
    assert json.dumps(shown) == json.dumps(file.get("frame", file.get("body")))


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_every_message_is_shown(version: str) -> None:
    every = {
        (file["direction"], file["frame"]["type"])
        for file in (json.loads(path.read_text(encoding="utf-8")) for path in (GOLDEN / version).glob("*.json"))
    }
    shown = {
        (golden(name)["direction"], golden(name)["frame"]["type"]) for name in SHOWN if name.startswith(f"{version}/")
    }
    assert shown == every


@pytest.mark.parametrize(
    "kind", [*Request.__subclasses__(), *Reply.__subclasses__(), Limits], ids=lambda kind: kind.__name__
)
def test_every_field_is_explained(kind: type[msgspec.Struct]) -> None:
    tag = kind.__struct_config__.tag
    if tag == "mcp":
        pytest.skip("v2 has no such message")
    if kind is Limits:
        tag = Hello.__struct_config__.tag
    heading = f"{tag}, answered" if tag in ("state", "outcome") and issubclass(kind, Reply) else tag
    (section,) = re.findall(rf"^### {heading}\n(.*?)(?=^##|\Z)", prose(PAGE), flags=re.MULTILINE | re.DOTALL)
    rows = set(re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE))
    fields = {field.encode_name for field in msgspec.structs.fields(kind)} - OF_ALL
    assert fields <= rows, f"not explained: {fields - rows}"
    others = {field.encode_name for field in msgspec.structs.fields(Limits)} if kind is Hello else set()
    if kind is not Limits:
        assert rows <= fields | others, f"no such field: {rows - fields - others}"
