"""Pictures among JSON values are recognized, and nothing else is."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from openenv.rollout.pictures import picture_note

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (640).to_bytes(4, "big") + (480).to_bytes(4, "big") + bytes(60)
GIF = b"GIF89a" + (320).to_bytes(2, "little") + (200).to_bytes(2, "little") + bytes(60)
# a marker with four bytes of its own stands before the frame header
JPEG = b"\xff\xd8\xff\xe0\0\x06abcd\xff\xc2\0\x11\x08" + (30).to_bytes(2, "big") + (40).to_bytes(2, "big") + bytes(60)
WEBP = b"RIFF\0\0\0\0WEBPVP8 " + bytes(60)


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (PNG, "PNG picture, 640 x 480, 84 bytes"),
        (GIF, "GIF picture, 320 x 200, 70 bytes"),
        (JPEG, "JPEG picture, 40 x 30, 79 bytes"),
        (WEBP, "WebP picture, 76 bytes"),
    ],
    ids=["png", "gif", "jpeg", "webp"],
)
def test_files_in_base64(data: bytes, note: str) -> None:
    assert picture_note(base64_of(data)) == note
    assert picture_note(f"data:image/png;base64,{base64_of(data)}") == note


def test_what_a_data_url_says_counts_where_the_file_does_not_tell() -> None:
    assert picture_note("data:image/svg+xml;base64," + base64_of(b"<svg/>")) == "SVG+XML picture, 6 bytes"
    assert picture_note("data:image/png;base64,abcde") == "PNG picture, damaged"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "a text",
        "x" * 100,
        base64_of(bytes(100)),
        base64_of(b"BM" + bytes(100)),  # two letters are no proof
        base64_of(PNG)[:40],
        "\u0661" * 100,  # no ASCII
        None,
        7,
        {"a": 1},
        [],
        [[1, 2], [3, 4]],
        [[[0, 0, 0]] * 7] * 8,
        [[[0, 0]] * 8] * 8,
        [[[0, 0, 256]] * 8] * 8,
        [[[0, 0, 0.5]] * 8] * 8,
        [[[0, 0, True]] * 8] * 8,
        [*[[[0, 0, 0]] * 8] * 8, [[0, 0, 0]] * 9],
    ],
    ids=str,
)
def test_what_is_no_picture(value: Any) -> None:
    assert picture_note(value) is None


def test_arrays_of_pixels() -> None:
    assert picture_note([[[0, 128, 255]] * 12] * 8) == "picture, 12 x 8, as an array of RGB pixels"
    assert picture_note([[[0, 128, 255, 9]] * 8] * 10) == "picture, 8 x 10, as an array of RGBA pixels"


@pytest.mark.parametrize("cut", range(2, 19))
def test_a_jpeg_that_breaks_off_has_no_size_but_is_one(cut: int) -> None:
    note = picture_note("data:image/jpeg;base64," + base64_of(JPEG[:cut]))
    assert note == f"JPEG picture, {cut:,} bytes"
