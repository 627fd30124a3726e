"""``openenv mcp``: an environment for agents that speak MCP over stdio only."""

from __future__ import annotations

from typing import Annotated

import typer

from openenv.app.resolve import Remote, resolve
from openenv.cli.importing import importing
from openenv.cli.token import shown_to
from openenv.errors import ConfigurationError

__all__ = ["mcp"]


def mcp(
    target: Annotated[
        str, typer.Argument(help="URL of a server or of one session's MCP endpoint; or path or name of an environment.")
    ],
    token: Annotated[
        str | None,
        typer.Option(help="Bearer token to show, such as an agent's.", show_default="OPENENV_TOKEN, for a URL"),
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option(help="Further header of every request, as 'Name: value'; may be repeated.")
    ] = None,
) -> None:
    """Be an MCP server on standard input and output, with the tools of an environment.

    What an agent says is passed on to the server, and what the server says to the agent. Of a path or a name, a
    server is started that ends with this program.
    """
    with importing():
        from openenv.client.bridge import endpoint_of
        from openenv.client.options import with_token
        from openenv.client.stdio_bridge import run_stdio_bridge

    headers = dict(with_token(_headers(header or []), token))
    if token is None:
        headers = {**shown_to(target), **headers}
    found = resolve(target)
    if isinstance(found, Remote):
        raise typer.Exit(run_stdio_bridge(endpoint_of(found.url), headers=headers))
    from openenv.app.making import embedded

    server = embedded(found).start()
    try:
        code = run_stdio_bridge(endpoint_of(server.url), headers=headers)
    finally:
        server.close()
    raise typer.Exit(code)


def _headers(given: list[str]) -> dict[str, str]:
    found = {}
    for header in given:
        name, colon, value = header.partition(":")
        if not colon or not name.strip() or not value.strip():
            raise ConfigurationError(f"a header is written as 'Name: value', not {header!r}")
        found[name.strip()] = value.strip()
    return found
