"""The token that commands show to a server."""

from __future__ import annotations

from openenv.app.resolve import Remote, resolve
from openenv.settings import load_settings

__all__ = ["shown_to"]


def shown_to(target: str | None) -> dict[str, str]:
    """The header that shows ``OPENENV_TOKEN``, where the target is the URL of a server; empty for anything else.

    Args:
        target: What the user gave; a URL from elsewhere, such as from a record, is shown nothing.
    """
    if target is None or not isinstance(resolve(target), Remote):
        return {}
    token = load_settings(only={"token"}).token
    if token is None:
        return {}
    from openenv.client.options import with_token  # here: other commands need no client

    return dict(with_token({}, token))
