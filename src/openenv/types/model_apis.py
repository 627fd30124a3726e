"""Content blocks in the forms that the APIs of models expect."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, TypeAlias

from openenv.errors import ConfigurationError
from openenv.types.media import extension_of

if TYPE_CHECKING:
    from openenv.types.content import AudioContent, FileContent, ImageContent, TextContent

    Block: TypeAlias = TextContent | ImageContent | AudioContent | FileContent

__all__ = ["anthropic_block", "openai_part"]

_PICTURES = {"image/png", "image/jpeg", "image/gif", "image/webp"}  # what both APIs take
_SOUNDS = {"audio/wav": "wav", "audio/mpeg": "mp3"}  # what OpenAI's takes, and what it calls them


def openai_part(block: Block) -> dict[str, Any]:
    """The part of a message for OpenAI's Chat Completions API.

    Raises:
        ConfigurationError: The API does not take it, and it has no ``alt``.
    """
    if block.type == "text":
        return {"type": "text", "text": block.text}
    if block.type == "image" and block.mime_type in _PICTURES:
        return {"type": "image_url", "image_url": {"url": block.url or _data_url(block)}}
    if block.type == "audio" and block.data is not None and block.mime_type in _SOUNDS:
        return {"type": "input_audio", "input_audio": {"data": _base64(block), "format": _SOUNDS[block.mime_type]}}
    if block.type == "file" and block.data is not None:
        name = block.name or f"file{extension_of(block.mime_type)}"
        return {"type": "file", "file": {"filename": name, "file_data": _data_url(block)}}
    return _instead(block, "OpenAI's API")


def anthropic_block(block: Block) -> dict[str, Any]:
    """The block of a message for Anthropic's Messages API.

    Raises:
        ConfigurationError: The API does not take it, and it has no ``alt``.
    """
    if block.type == "text":
        return {"type": "text", "text": block.text}
    if block.type == "image" and block.mime_type in _PICTURES:
        return {"type": "image", "source": _source(block)}
    if block.type == "file" and block.mime_type == "application/pdf":
        return {"type": "document", "source": _source(block), **_title(block)}
    if block.type == "file" and block.data is not None and block.mime_type.startswith("text/"):
        text = block.data.decode("utf-8", "replace")
        return {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": text},
            **_title(block),
        }
    return _instead(block, "Anthropic's API")


def _instead(block: ImageContent | AudioContent | FileContent, api: str) -> dict[str, Any]:
    if block.alt is not None:
        return {"type": "text", "text": block.alt}
    form = "by URL" if block.data is None else "as data"
    raise ConfigurationError(f"{api} takes no {block.mime_type} {form} here; give the block a text to send: alt='...'")


def _source(block: ImageContent | FileContent) -> dict[str, Any]:
    if block.data is None:
        return {"type": "url", "url": block.url}
    return {"type": "base64", "media_type": block.mime_type, "data": _base64(block)}


def _title(block: FileContent) -> dict[str, Any]:
    return {"title": block.name} if block.name else {}


def _data_url(block: ImageContent | FileContent) -> str:
    return f"data:{block.mime_type};base64,{_base64(block)}"


def _base64(block: ImageContent | AudioContent | FileContent) -> str:
    return base64.b64encode(block.data or b"").decode()
