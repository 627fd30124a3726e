"""Requests and replies of events as JSON text, with tagged objects for the values that JSON does not have."""

from __future__ import annotations

from typing import Any

import msgspec

from openenv.types.tagged import EncodingFailed, TaggedForm, may_have_tags, untagged

__all__ = ["UNDECODABLE", "UNENCODABLE", "payload_of", "payload_text"]

UNENCODABLE = (EncodingFailed, TypeError, ValueError, OverflowError, RecursionError)
"""All that ``payload_text`` raises for a value that has no form."""

UNDECODABLE = (TypeError, ValueError, RecursionError)
"""All that ``payload_of`` raises for a text that is damaged."""


class _RecordForm(TaggedForm):
    """Long integers stay numbers: files are read by tools that know nothing of tags."""

    def long_integer(self, number: int) -> Any:
        return number


_FORM = _RecordForm()


def payload_text(value: Any) -> str:
    """A value as JSON text."""
    return msgspec.json.encode(_FORM.write(value)).decode()


def payload_of(text: str) -> Any:
    """The value that ``payload_text`` wrote. Text without tagged objects, as older stores have, is read as it is."""
    value = msgspec.json.decode(text)
    return untagged(value) if may_have_tags(text) else value
