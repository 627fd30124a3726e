"""Images of content blocks: to arrays and back, PNG with and without Pillow, broken files."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from openenv.errors import ConfigurationError, MissingExtra
from openenv.types import (
    FileContent,
    ImageContent,
)
from openenv.types.png import pixels_of_png

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)
SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([3, 4])) | st.tuples(
    st.integers(1, 9), st.integers(1, 9)
)


def pil_file(form: str, mode: str = "RGB", size: tuple[int, int] = (12, 5), **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, 1).save(file, format=form, **options)
    return file.getvalue()


@given(SHAPES.flatmap(lambda shape: arrays(np.uint8, shape)))
def test_an_array_comes_back(pixels: np.ndarray[Any, Any]) -> None:
    block = ImageContent.from_array(pixels)
    assert block.mime_type == "image/png"
    assert block.size == (pixels.shape[1], pixels.shape[0])
    found = block.to_array()
    assert (found.dtype, found.shape) == (np.uint8, pixels.shape)
    assert found.flags.writeable
    assert np.array_equal(found, pixels)
    assert np.array_equal(np.asarray(block.to_pil()), pixels), "and Pillow reads it too"


@pytest.mark.parametrize("view", [PIXELS[::2, ::-1], PIXELS.transpose(1, 0, 2), np.asfortranarray(PIXELS)])
def test_how_an_array_lies_in_memory_does_not_matter(view: Any) -> None:
    assert np.array_equal(ImageContent.from_array(view).to_array(), view)


def test_an_array_needs_no_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    jpeg = ImageContent.from_bytes(pil_file("JPEG"))
    monkeypatch.setitem(sys.modules, "PIL", None)
    block = ImageContent.from_array(PIXELS)
    assert np.array_equal(block.to_array(), PIXELS)
    for read in (block.to_pil, jpeg.to_array):
        with pytest.raises(MissingExtra, match="pip install pillow"):
            read()


def png(rows: bytes, width: int, height: int, *more: tuple[bytes, bytes]) -> bytes:
    """An RGB file of rows as they are, filter bytes included."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), *more, (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    chunks = (struct.pack(">I", len(body)) + name + body + zlib.crc32(name + body).to_bytes(4) for name, body in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_a_png_without_filters_needs_no_pillow() -> None:
    pixels = pixels_of_png(png(b"".join(b"\0" + row.tobytes() for row in PIXELS), 9, 6))
    assert pixels is not None
    assert pixels.flags.writeable
    assert np.array_equal(pixels, PIXELS)


def test_what_a_png_of_others_means_is_left_to_pillow() -> None:
    shades = np.add.outer(np.arange(40), np.arange(50)).astype(np.uint8)[..., None].repeat(3, axis=2)
    file = io.BytesIO()
    Image.fromarray(shades).save(file, format="PNG")  # Pillow chooses another filter for each row
    assert pixels_of_png(file.getvalue()) is None
    assert np.array_equal(ImageContent.from_bytes(file.getvalue()).to_array(), shades)
    rows = b"\2" + bytes(3) + b"\2" + bytes(3)
    transparent = ImageContent.from_bytes(png(rows, 1, 2, (b"tRNS", bytes(6)))).to_array()
    assert transparent.tolist() == [[[0, 0, 0, 0]], [[0, 0, 0, 0]]]


def test_a_png_that_is_not_what_it_says_has_no_pixels() -> None:
    rows = b"\2" + bytes(3) + b"\2" + bytes(3)
    good = png(rows, 1, 2)
    assert pixels_of_png(good) is not None
    assert pixels_of_png(png(rows[:-1], 1, 2)) is None, "too short"
    assert pixels_of_png(png(rows + b"\0", 1, 2)) is None, "too long"
    assert pixels_of_png(good[:29] + b"\0\0\0\0" + good[33:]) is None, "a wrong checksum of the header"


@pytest.mark.parametrize("cut", [40, 45, 60, -13, -1])
def test_a_damaged_png_is_an_error(cut: int) -> None:
    data = ImageContent.from_array(PIXELS).data
    assert data is not None
    for damaged in (data[:cut], data[:cut] + bytes([data[cut] ^ 1]) + data[cut:][1:]):
        try:
            found = ImageContent.from_bytes(damaged).to_array()
        except ConfigurationError as error:
            assert "Pillow cannot read" in str(error)  # noqa: PT017 - Pillow forgives some damage
        else:
            assert np.array_equal(found, PIXELS)


def test_a_png_that_claims_to_be_huge_takes_no_memory() -> None:
    data = bytearray(ImageContent.from_array(np.zeros((1, 1, 3), np.uint8)).data or b"")
    data[16:24] = (2**31 - 1).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    with pytest.raises(ConfigurationError, match="Pillow cannot read"):
        ImageContent.from_bytes(bytes(data)).to_array()


@pytest.mark.parametrize(
    ("form", "mode", "shape"),
    [("PNG", "P", (5, 12, 3)), ("PNG", "LA", (5, 12, 4)), ("GIF", "L", (5, 12, 3)), ("JPEG", "L", (5, 12))],
)
def test_other_files_become_arrays_through_pillow(form: str, mode: str, shape: tuple[int, ...]) -> None:
    found = ImageContent.from_bytes(pil_file(form, mode)).to_array()
    assert (found.shape, found.dtype, found.flags.writeable) == (shape, np.uint8, True)


@pytest.mark.parametrize(
    ("form", "mime"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp"), ("GIF", "image/gif")]
)
def test_a_pillow_image_becomes_a_file(form: str, mime: str) -> None:
    block = ImageContent.from_pil(Image.new("RGB", (12, 5)), format=form)
    assert (block.mime_type, block.size) == (mime, (12, 5))
    assert block.to_pil().size == (12, 5)


def test_a_file_is_read_and_named(tmp_path: Path) -> None:
    (tmp_path / "view.data").write_bytes(pil_file("PNG"))
    (tmp_path / "notes.md").write_text("# a")
    assert ImageContent.from_path(tmp_path / "view.data").mime_type == "image/png", "first bytes tell more than names"
    note = FileContent.from_path(str(tmp_path / "notes.md"))
    assert (note.mime_type, note.name, note.data) == ("text/markdown", "notes.md", b"# a")
