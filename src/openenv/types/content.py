"""Content blocks: text, images, audio and files as parts of observations and actions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, TypeVar, cast
from urllib.parse import unquote_to_bytes, urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from openenv.errors import ConfigurationError
from openenv.types.base64_data import Base64Data
from openenv.types.media import TELLING, image_size, mime_of_data, mime_of_name, usual_mime
from openenv.types.model_apis import anthropic_block, openai_part
from openenv.types.pillow import file_of_image, image_of_file, pixels_of_image
from openenv.types.png import pixels_of_png, png_of_pixels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

__all__ = [
    "AudioContent",
    "Content",
    "FileContent",
    "ImageContent",
    "TextContent",
    "as_content",
    "content_to_anthropic",
    "content_to_openai",
]

MediaT = TypeVar("MediaT", bound="_Media")

_MIME = re.compile(r"[\w.+-]+/[\w.+-]+")


def _needs_type(schema: dict[str, Any]) -> None:
    schema["required"] = ["type", *schema.get("required", ())]


def _needs_data_or_url(schema: dict[str, Any]) -> None:
    _needs_type(schema)
    schema["anyOf"] = [{"required": ["data"]}, {"required": ["url"]}]


class _Block(BaseModel):
    """What blocks of every kind have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra=_needs_type)

    type: str  # here, so that it is the first of the fields

    def to_openai(self) -> dict[str, Any]:
        """The part of a message for OpenAI's Chat Completions API.

        It takes text; PNG, JPEG, GIF and WebP as data or by URL; WAV and MP3 as data; files as data. For the rest
        ``alt`` is sent.

        Raises:
            ConfigurationError: The API does not take it, and there is no ``alt``.
        """
        return openai_part(cast("TextContent", self))

    def to_anthropic(self) -> dict[str, Any]:
        """The block of a message for Anthropic's Messages API.

        It takes text; PNG, JPEG, GIF and WebP, and PDF, as data or by URL; ``text/...`` files as data; no audio. For
        the rest ``alt`` is sent.

        Raises:
            ConfigurationError: The API does not take it, and there is no ``alt``.
        """
        return anthropic_block(cast("TextContent", self))


class TextContent(_Block):
    """Text among content blocks.

    Attributes:
        text: The text; may be empty.
    """

    type: Literal["text"] = "text"
    text: str


class _Media(_Block):
    """What blocks that are no text have in common: data or where it is, and what it is."""

    model_config = ConfigDict(json_schema_extra=_needs_data_or_url)

    data: Base64Data | None = Field(default=None, repr=False, description="The file itself; base64 in JSON.")
    url: str | None = Field(default=None, description="Where the file is, instead of the file.")
    mime_type: str = Field(default="", description="What it is, such as image/png; found out where it is empty.")
    name: str | None = Field(default=None, description="Name of the file.")
    alt: str | None = Field(default=None, description="A text to take where the file itself cannot be taken.")

    _what: ClassVar[str] = "a file"
    _family: ClassVar[str] = ""  # what its MIME type begins with
    _example: ClassVar[str] = "application/pdf"

    @model_validator(mode="after")
    def _complete(self) -> Self:
        """Hold it to its rules, and find out the MIME type that was not given."""
        if (self.data is None) == (self.url is None):
            raise ValueError(f"{self._what} needs either data or a url" + (", not both" if self.url else ""))
        if self.data == b"":
            raise ValueError(f"{self._what} needs data, and the data is empty")
        if self.url is not None and (not urlsplit(self.url).scheme or self.url.startswith(("data:", "file:"))):
            raise ValueError("a url begins with a scheme such as https:; from_path reads files, from_url data: URLs")
        mime = usual_mime(self.mime_type) or self._found_mime()
        if not _MIME.fullmatch(mime) or not mime.startswith(self._family):
            raise ValueError(f"{self._what} has a MIME type such as {self._example}, not {mime!r}")
        found = mime_of_data(self.data or b"")
        if self._family and found in TELLING and found != mime:
            raise ValueError(f"mime_type says {mime}, but the data is {found}")
        object.__setattr__(self, "mime_type", mime)  # it is frozen for everybody else
        self.__pydantic_fields_set__.add("mime_type")
        return self

    def _found_mime(self) -> str:
        names = (name for name in (self.name, self.url and urlsplit(self.url).path) if name)
        found = mime_of_data(self.data or b"") or next(filter(None, map(mime_of_name, names)), None)
        if found is None:
            where = "the url" if self.data is None else "the data"
            raise ValueError(f"neither {where} nor a name tells what it is; say so: mime_type={self._example!r}")
        return found

    @classmethod
    def from_bytes(cls, data: bytes, *, mime_type: str = "", name: str | None = None, alt: str | None = None) -> Self:
        """A block of the bytes of a file.

        Args:
            data: The file; not empty.
            mime_type: What it is; found out from its first bytes, or else from the extension of ``name``.
            name: Name of the file.
            alt: A text to take where the file itself cannot be taken.

        Raises:
            ConfigurationError: It is empty, not of that type, or of no type that can be told.
        """
        return _made(cls, data=bytes(data), mime_type=mime_type, name=name, alt=alt)

    @classmethod
    def from_path(cls, path: str | Path, *, mime_type: str = "", alt: str | None = None) -> Self:
        """A block of the file at ``path``, which it is named after; otherwise like ``from_bytes``.

        Raises:
            OSError: The file cannot be read.
        """
        return cls.from_bytes(Path(path).read_bytes(), mime_type=mime_type, name=Path(path).name, alt=alt)

    @classmethod
    def from_url(cls, url: str, *, mime_type: str = "", name: str | None = None, alt: str | None = None) -> Self:
        """A block that says where the file is; nothing is fetched. A ``data:`` URL becomes data.

        Raises:
            ConfigurationError: It is no URL, or tells no type.
        """
        if not url.startswith("data:"):
            return _made(cls, url=url, mime_type=mime_type, name=name, alt=alt)
        head, _, body = url.removeprefix("data:").partition(",")
        kind, marked, _ = head.partition(";base64")
        data = re.sub(r"\s", "", body) if marked else unquote_to_bytes(body)
        return _made(cls, data=data, mime_type=mime_type or kind, name=name, alt=alt)


class ImageContent(_Media):
    """A picture: ``data`` or ``url``, ``mime_type`` (``image/...``), ``name`` and ``alt``.

    ``data`` is the file, such as a PNG. Text given as ``data`` is base64.
    """

    type: Literal["image"] = "image"

    _what: ClassVar[str] = "an image"
    _family: ClassVar[str] = "image/"
    _example: ClassVar[str] = "image/png"

    @classmethod
    def from_array(cls, pixels: Any, *, name: str | None = None, alt: str | None = None) -> Self:
        """A PNG of an array, or of what numpy reads as one. It needs numpy only.

        Args:
            pixels: uint8, H x W x 3 (RGB), H x W x 4 (RGBA) or H x W (grey).
            name: Name of the file.
            alt: A text to take where the picture cannot be taken.

        Raises:
            ConfigurationError: It has another shape or dtype.
        """
        import numpy

        array = numpy.asarray(pixels)
        if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or 0 in array.shape:
            raise ConfigurationError(f"a picture has the shape H x W x 3, H x W x 4 or H x W, not {array.shape}")
        if array.dtype != numpy.uint8:
            raise ConfigurationError(
                f"a picture has dtype uint8, not {array.dtype}; from 0 to 1: (255 * a).round().astype('uint8')"
            )
        return _made(cls, data=png_of_pixels(array), mime_type="image/png", name=name, alt=alt)

    @classmethod
    def from_pil(
        cls, image: Image.Image, *, format: str = "PNG", name: str | None = None, alt: str | None = None
    ) -> Self:
        """A file of a Pillow image.

        Args:
            image: The image.
            format: What kind of file, by Pillow's name: ``PNG``, ``JPEG``, ``WEBP``, ``GIF``.
            name: Name of the file.
            alt: A text to take where the picture cannot be taken.

        Raises:
            ConfigurationError: Pillow cannot write such an image in that format.
        """
        return cls.from_bytes(file_of_image(image, format), name=name, alt=alt)

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height in pixels, from the file's header; None for a URL, and where the header is unknown."""
        return image_size(self.data) if self.data else None

    def to_pil(self) -> Image.Image:
        """The picture for Pillow, read completely.

        Raises:
            MissingExtra: Pillow is not installed.
            ConfigurationError: It is a URL, or not a picture that Pillow reads.
        """
        return image_of_file(self._file())

    def to_array(self) -> NDArray[np.uint8]:
        """The picture as a uint8 array of its own: H x W x 3, H x W x 4 if it can be transparent, H x W if it is grey.

        What ``from_array`` made needs numpy only; other files need Pillow.

        Raises:
            MissingExtra: Pillow is needed, and not installed.
            ConfigurationError: It is a URL, or not a picture that Pillow reads.
        """
        pixels = pixels_of_png(self._file())
        return pixels_of_image(self.to_pil()) if pixels is None else pixels

    def _file(self) -> bytes:
        if self.data is None:
            raise ConfigurationError(f"the picture is not here but at {self.url}; fetch it, and use from_bytes")
        return self.data


class AudioContent(_Media):
    """A sound: ``data`` or ``url``, ``mime_type`` (``audio/...``), ``name`` and ``alt``.

    ``data`` is the file, such as a WAV. Text given as ``data`` is base64.
    """

    type: Literal["audio"] = "audio"

    _what: ClassVar[str] = "an audio block"
    _family: ClassVar[str] = "audio/"
    _example: ClassVar[str] = "audio/wav"


class FileContent(_Media):
    """Any other file: ``data`` or ``url``, ``mime_type``, ``name`` and ``alt``.

    ``data`` is the file, such as a PDF. Text given as ``data`` is base64.
    """

    type: Literal["file"] = "file"


Content = Annotated[TextContent | ImageContent | AudioContent | FileContent, Field(discriminator="type")]
"""A block of any kind, told apart by ``type``: the type of a field such as ``content: list[Content]``."""

_CONTENT: TypeAdapter[TextContent | ImageContent | AudioContent | FileContent] = TypeAdapter(Content)


def as_content(value: Any) -> TextContent | ImageContent | AudioContent | FileContent:
    """The block that a value is: a block, a mapping as clients without types see it, or a text.

    Raises:
        ConfigurationError: It is none of these, or not a valid block.
    """
    if isinstance(value, str):
        return TextContent(text=value)
    try:
        return _CONTENT.validate_python(dict(value) if isinstance(value, Mapping) else value)
    except ValidationError as error:
        raise _in_a_line(error, "this is no content block") from None


def content_to_openai(blocks: Iterable[Any]) -> list[dict[str, Any]]:
    """The ``content`` of a message for OpenAI's Chat Completions API.

    Args:
        blocks: Blocks, or what ``as_content`` reads as one. Empty texts are left out, as the APIs refuse them.

    Raises:
        ConfigurationError: One of them is no block, or cannot be sent to this API and has no ``alt``.
    """
    return [block.to_openai() for block in map(as_content, blocks) if not _is_empty(block)]


def content_to_anthropic(blocks: Iterable[Any]) -> list[dict[str, Any]]:
    """The ``content`` of a message for Anthropic's Messages API; otherwise like ``content_to_openai``."""
    return [block.to_anthropic() for block in map(as_content, blocks) if not _is_empty(block)]


def _is_empty(block: BaseModel) -> bool:
    return isinstance(block, TextContent) and not block.text.strip()


def _made(cls: type[MediaT], **fields: Any) -> MediaT:
    try:
        return cls(**fields)
    except ValidationError as error:
        raise _in_a_line(error, f"no {cls.__name__}") from None


def _in_a_line(error: ValidationError, what: str) -> ConfigurationError:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    return ConfigurationError(f"{what}: {place + ': ' if place else ''}{first['msg'].removeprefix('Value error, ')}")
