"""Content blocks: what they take, what they are in JSON, and what the APIs of models are sent."""

from __future__ import annotations

import base64
import io
import json
import random
import wave
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from openenv.errors import ConfigurationError
from openenv.schema import json_schema, sample
from openenv.types import (
    Action,
    AudioContent,
    Content,
    FileContent,
    ImageContent,
    Observation,
    TextContent,
    as_content,
    content_to_anthropic,
    content_to_openai,
)
from openenv.types.media import image_size, mime_of_data, mime_of_name

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)
SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([3, 4])) | st.tuples(
    st.integers(1, 9), st.integers(1, 9)
)


class Seen(Observation):
    content: list[Content]


class Say(Action):
    content: list[Content]


def pil_file(form: str, mode: str = "RGB", size: tuple[int, int] = (12, 5), **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, 1).save(file, format=form, **options)
    return file.getvalue()


def wav() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(64))
    return file.getvalue()


def blocks() -> list[Any]:
    return [
        TextContent(text="a board"),
        ImageContent.from_array(PIXELS, name="board.png", alt="the board"),
        ImageContent.from_url("https://a.example/b.webp?x=1"),
        AudioContent.from_bytes(wav()),
        FileContent.from_bytes(b"a,b\xff\xfe\xfb", name="t.csv"),
    ]


# The way through JSON and back --------------------------------------------------------------------


def test_an_observation_keeps_its_blocks_on_every_way() -> None:
    seen = Seen(content=blocks())
    text = seen.model_dump_json()
    assert Seen.model_validate_json(text) == seen
    assert Seen.model_validate(json.loads(text)) == seen, "a typed client of JSON gets text for data"
    assert Seen.model_validate(seen.model_dump()) == seen
    assert Seen.model_validate(json.loads(text.replace("\\/", "/").replace("+", "-"))) == seen, "the other alphabet"


def test_data_is_bytes_to_python_and_standard_base64_to_json() -> None:
    block = FileContent.from_bytes(b"a,b\xff\xfe\xfb", name="t.csv")
    expected = {"type": "file", "url": None, "mime_type": "text/csv", "name": "t.csv", "alt": None}
    assert block.model_dump() == {**expected, "data": b"a,b\xff\xfe\xfb"}
    assert json.loads(Seen(content=[block]).model_dump_json())["content"] == [{**expected, "data": "YSxi//77"}]
    assert next(iter(block.model_dump())) == "type"
    assert block.model_dump(exclude_unset=True)["mime_type"] == "text/csv", "found out, and as good as said"
    assert "data" not in repr(block), "a log is no place for megabytes"


def test_the_schema_says_what_data_is() -> None:
    definitions = json_schema(Seen)["$defs"]
    image = definitions["ImageContent"]
    data = image["properties"]["data"]["anyOf"][0]
    assert data["contentEncoding"] == "base64"
    assert data["x-openenv"] == {"kind": "bytes"}
    assert image["required"] == ["type"]
    assert image["anyOf"] == [{"required": ["data"]}, {"required": ["url"]}]
    assert definitions["TextContent"]["required"] == ["type", "text"]


def test_an_action_with_blocks_can_be_drawn() -> None:
    for seed in range(20):
        drawn = sample(json_schema(Say), random.Random(seed))
        assert Say.model_validate(drawn).content == [as_content(one) for one in drawn["content"]]


def test_a_block_is_a_value() -> None:
    block = TextContent(text="a")
    with pytest.raises(ValidationError, match="frozen"):
        block.text = "b"
    assert len({block, TextContent(text="a")}) == 1


# What blocks are made of --------------------------------------------------------------------------


def test_a_data_url_becomes_data() -> None:
    encoded = base64.b64encode(pil_file("PNG")).decode()
    block = ImageContent.from_url(f"data:image/png;base64,{encoded}")
    assert (block.data, block.url) == (pil_file("PNG"), None)
    text = FileContent.from_url("data:text/plain,a%20b")
    assert (text.data, text.mime_type) == (b"a b", "text/plain")


@pytest.mark.parametrize(
    ("form", "options"),
    [("PNG", {}), ("JPEG", {}), ("GIF", {}), ("BMP", {}), ("WEBP", {}), ("WEBP", {"lossless": True})],
)
def test_a_header_tells_the_size(form: str, options: dict[str, Any]) -> None:
    data = pil_file(form, size=(300, 7), **options)
    assert image_size(data) == (300, 7)
    for length in range(30):
        assert image_size(data[:length]) in (None, (300, 7)), "a header that breaks off tells nothing wrong"


def test_odd_headers() -> None:
    upside_down = bytearray(pil_file("BMP", size=(300, 7)))
    upside_down[22:26] = (-7).to_bytes(4, "little", signed=True)
    assert image_size(bytes(upside_down)) == (300, 7)
    unsigned = bytearray(pil_file("WEBP", size=(300, 7), lossless=True))
    unsigned[20] = 0
    assert image_size(bytes(unsigned)) is None


def test_a_moving_webp_has_a_size_too() -> None:
    frames = [Image.new("RGB", (300, 7), colour) for colour in (0, 200)]
    file = io.BytesIO()
    frames[0].save(file, format="WEBP", save_all=True, append_images=frames[1:])
    assert file.getvalue()[12:16] == b"VP8X"
    assert image_size(file.getvalue()) == (300, 7)


@pytest.mark.parametrize(
    ("data", "mime"),
    [
        (wav(), "audio/wav"),
        (b"ID3\4", "audio/mpeg"),
        (b"OggS", "audio/ogg"),
        (b"fLaC", "audio/flac"),
        (b"\0\0\0\x20ftypM4A \0", "audio/mp4"),
        (b"\0\0\0\x20ftypisom", "video/mp4"),
        (b"%PDF-1.7", "application/pdf"),
        (b"BM is a text", None),
        (b"", None),
    ],
)
def test_first_bytes_tell_the_type(data: bytes, mime: str | None) -> None:
    assert mime_of_data(data) == mime


def test_names_tell_the_type_the_same_on_every_machine() -> None:
    told = {name: mime_of_name(name) for name in ("a.WAV", "b.webp", "c.opus", "d.jpg", "e.pdf", "f.nothing", "g")}
    assert list(told.values()) == ["audio/wav", "image/webp", "audio/ogg", "image/jpeg", "application/pdf", None, None]
    assert [mime_of_name("a.csv.gz"), mime_of_name("a.csv.xz")] == ["application/gzip", None]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ImageContent.from_bytes(b""), "the data is empty"),
        (lambda: ImageContent.from_bytes(b"abc"), "say so: mime_type='image/png'"),
        (lambda: FileContent.from_bytes(b"abc", name="a.unknown"), "say so: mime_type='application/pdf'"),
        (lambda: FileContent.from_url("https://a.example/b"), "neither the url nor a name"),
        (lambda: ImageContent.from_bytes(b"abc", mime_type="png"), "not 'png'"),
        (lambda: ImageContent.from_bytes(wav()), "an image has a MIME type such as image/png, not 'audio/wav'"),
        (lambda: AudioContent.from_bytes(pil_file("PNG")), "such as audio/wav, not 'image/png'"),
        (lambda: ImageContent.from_bytes(pil_file("PNG"), mime_type="image/jpeg"), "but the data is image/png"),
        (lambda: AudioContent.from_bytes(pil_file("PNG"), mime_type="audio/wav"), "but the data is image/png"),
        (lambda: ImageContent.from_url("pictures/a.png"), "begins with a scheme"),
        (lambda: ImageContent.from_url("file:///a.png"), "from_path reads files"),
        (lambda: ImageContent.from_url("data:image/png;base64,"), "the data is empty"),
        (lambda: ImageContent.from_url("data:image/png;base64,?"), "text in base64"),
        (lambda: ImageContent.from_array(PIXELS[..., :2]), "not (6, 9, 2)"),
        (lambda: ImageContent.from_array(PIXELS[:0]), "not (0, 9, 3)"),
        (lambda: ImageContent.from_array(PIXELS / 255), "dtype uint8, not float64; from 0 to 1"),
        (lambda: ImageContent.from_pil(Image.new("RGBA", (2, 2)), format="JPEG"), "mode RGBA as JPEG"),
        (lambda: ImageContent.from_pil(Image.new("RGB", (2, 2)), format="x"), "as x"),
        (lambda: ImageContent.from_url("https://a.example/b.png").to_pil(), "fetch it, and use from_bytes"),
        (lambda: ImageContent.from_bytes(b"abc", mime_type="image/png").to_array(), "Pillow cannot read"),
        (lambda: as_content({"type": "image"}), "either data or a url"),
        (lambda: as_content({"type": "image", "url": "https://a/b.png", "data": "abcd"}), "not both"),
        (lambda: as_content({"type": "image", "url": "https://a/b.png", "size": 1}), "image.size: Extra inputs"),
        (lambda: as_content({"type": "image", "data": "über"}), "text in base64"),
        (lambda: as_content({"type": "picture"}), "'text', 'image', 'audio', 'file'"),
        (lambda: as_content({"text": "a"}), "'type'"),
        (lambda: as_content(7), "this is no content block"),
    ],
    ids=range(27),
)
def test_bad_input_is_an_error_of_one_line(make: Any, says: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        make()
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


# What models are sent ------------------------------------------------------------------------------


def test_messages_for_openai() -> None:
    wave_file, picture = base64.b64encode(wav()).decode(), base64.b64encode(blocks()[1].data).decode()
    pdf = FileContent.from_bytes(b"%PDF-1", name="a.pdf")
    assert content_to_openai([*blocks()[:4], pdf, FileContent.from_bytes(b"%PDF-1")]) == [
        {"type": "text", "text": "a board"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}},
        {"type": "image_url", "image_url": {"url": "https://a.example/b.webp?x=1"}},
        {"type": "input_audio", "input_audio": {"data": wave_file, "format": "wav"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0x"}},
        {"type": "file", "file": {"filename": "file.pdf", "file_data": "data:application/pdf;base64,JVBERi0x"}},
    ]


def test_messages_for_anthropic() -> None:
    picture = base64.b64encode(blocks()[1].data).decode()
    others = [
        FileContent.from_bytes(b"%PDF-1", name="a.pdf"),
        FileContent.from_url("https://a.example/b.pdf"),
        FileContent.from_bytes("ü".encode(), mime_type="text/plain"),
    ]
    assert content_to_anthropic([*blocks()[:3], *others]) == [
        {"type": "text", "text": "a board"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": picture}},
        {"type": "image", "source": {"type": "url", "url": "https://a.example/b.webp?x=1"}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0x"},
            "title": "a.pdf",
        },
        {"type": "document", "source": {"type": "url", "url": "https://a.example/b.pdf"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "ü"}},
    ]


@pytest.mark.parametrize(
    ("block", "openai", "anthropic"),
    [
        (AudioContent(data=wav(), alt="a tone"), False, True),
        (AudioContent(url="https://a.example/b.wav", alt="a tone"), True, True),
        (AudioContent(data=b"fLaC", alt="a tone"), True, True),
        (ImageContent(data=pil_file("BMP"), alt="a tone"), True, True),
        (FileContent(url="https://a.example/b.csv", alt="a tone"), True, True),
        (FileContent(data=b"PK\3\4", alt="a tone"), False, True),
    ],
    ids=range(6),
)
def test_what_an_api_does_not_take_is_sent_as_its_text_or_refused(block: Any, openai: bool, anthropic: bool) -> None:
    bare = block.model_copy(update={"alt": None})
    for convert, refused in ((content_to_openai, openai), (content_to_anthropic, anthropic)):
        assert (convert([block]) == [{"type": "text", "text": "a tone"}]) is refused
        if refused:
            with pytest.raises(ConfigurationError, match=r"give the block a text to send: alt='\.\.\.'"):
                convert([bare])


def test_what_untyped_clients_see_can_be_sent_too() -> None:
    seen = json.loads(Seen(content=blocks()[:4]).model_dump_json())
    assert content_to_openai(seen["content"]) == content_to_openai(blocks()[:4])
    assert content_to_anthropic(["a text", {"type": "text", "text": " "}]) == [{"type": "text", "text": "a text"}]
