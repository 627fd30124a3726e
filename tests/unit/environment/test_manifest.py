"""``openenv.yaml``: read, found, and refused with advice."""

from __future__ import annotations

from pathlib import Path

import pytest

from openenv.environment import find_manifest, read_manifest
from openenv.errors import ConfigurationError


def written(directory: Path, text: str | bytes) -> Path:
    path = directory / "openenv.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_keys_that_nobody_knows_are_kept(tmp_path: Path) -> None:
    manifest = read_manifest(written(tmp_path, "name: chess\nport: 9000\ncolour: red\n1: one\n"))
    assert (manifest.name, manifest.port, manifest.app) == ("chess", 9000, None)
    assert manifest.model_extra == {"colour": "red", "1": "one"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "must hold keys and values"),
        ("- a\n", "must hold keys and values"),
        ("name: [", "not valid YAML"),
        ("port: 8000\n", "name: Field required"),
        ("name: x\nport: many\n", "port: Input should be a valid integer"),
        (b"\xff\xfe\x00", "cannot read"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(tmp_path: Path, text: str | bytes, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        read_manifest(written(tmp_path, text))
    assert "\n" not in caught.value.message
    assert "openenv.yaml" in caught.value.message


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot read"):
        read_manifest(tmp_path / "openenv.yaml")


def test_a_manifest_is_found_beside_or_inside_the_one_package(tmp_path: Path) -> None:
    assert find_manifest(tmp_path) is None
    inner = tmp_path / "src" / "chess_env"
    inner.mkdir(parents=True)
    nested = written(inner, "name: chess\n")
    assert find_manifest(tmp_path) == nested
    other = tmp_path / "src" / "other_env"
    other.mkdir()
    written(other, "name: other\n")
    assert find_manifest(tmp_path) is None  # which one is meant cannot be told
    direct = written(tmp_path, "name: top\n")
    assert find_manifest(tmp_path) == direct
