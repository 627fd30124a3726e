"""``openenv info``: what an environment is, takes and returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from openenv.app.making import embedded
from openenv.app.resolve import Remote, resolve
from openenv.cli.token import shown_to
from openenv.client import MCPToolClient
from openenv.client.address import Address
from openenv.client.hello import read_hello
from openenv.errors import ConnectFailed, RemoteProtocolError
from openenv.protocol import Hello
from openenv.tools import ToolInfo

__all__ = ["info"]

_TIMEOUT_S = 30.0
_CALL = "CallToolAction"


def info(
    target: Annotated[str, typer.Argument(help="URL of a server, or path or name of an environment.")],
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Show what an environment is: its version, its limits, its tools or the fields of its actions and observations."""
    found = resolve(target)
    if isinstance(found, Remote):
        _show(found.url, shown_to(target))
        return
    server = embedded(found, debug=debug).start()
    try:
        _show(server.url, {})
    finally:
        server.close()


def _show(url: str, headers: Mapping[str, str]) -> None:
    address = Address.parse(url)
    hello = read_hello(url, headers=headers)
    settings: dict[str, Any] = {"timeout": _TIMEOUT_S, "trust_env": not address.is_local, "headers": headers}
    with httpx.Client(base_url=address.http, **settings) as http:
        metadata, ready, schema = (_get(http, path) for path in ("/metadata", "/ready", "/schema"))
    console = Console(highlight=False)
    console.print(_facts(metadata, ready, hello))
    if schema.get("action", {}).get("title") == _CALL:
        with MCPToolClient[Any, Any, Any](url, headers=headers).sync() as env:
            console.print(_tools(env.list_tools()))
        return
    for kind in ("action", "observation"):
        described = schema.get(kind)
        if isinstance(described, dict):
            console.print(_fields(kind, described))


def _get(http: httpx.Client, path: str) -> dict[str, Any]:
    """The JSON object at a path; empty where the server has none, as older ones may."""
    try:
        answer = http.get(path)
        found = answer.json()
    except httpx.HTTPError as error:
        raise ConnectFailed(f"cannot read {http.base_url}{path.lstrip('/')}: {error}") from error
    except ValueError as error:
        raise RemoteProtocolError(f"{answer.url} answered with something that is not JSON") from error
    return found if isinstance(found, dict) and answer.status_code != httpx.codes.NOT_FOUND else {}


def _facts(metadata: Mapping[str, Any], ready: Mapping[str, Any], hello: Hello | None) -> Table:
    sessions = ready.get("sessions") or {}
    facts = {
        "name": hello.environment if hello else metadata.get("name"),
        "version": metadata.get("version"),
        "description": metadata.get("description"),
        "server": f"openenv {hello.library}" if hello else None,
        "protocols": "v1, v2" if hello else "v1",
        "ready": "yes" if ready.get("status") == "ready" else ready.get("reason"),
        "sessions": f"{sessions['active']} of {sessions['capacity']} taken" if sessions else None,
        "largest message": f"{hello.limits.max_message_bytes / 2**20:g} MiB" if hello else None,
    }
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for label, value in facts.items():
        if value:
            table.add_row(label, escape(str(value)))
    return table


def _fields(kind: str, schema: Mapping[str, Any]) -> Table:
    table = Table(title=f"{kind}: {schema.get('title', '')}", title_justify="left", title_style="bold")
    for column in ("field", "type", "needed", "description"):
        table.add_column(column)
    required = schema.get("required", [])
    for name, field in schema.get("properties", {}).items():
        needed = "yes" if name in required else _default(field)
        table.add_row(*(escape(text) for text in (name, _type(field), needed, field.get("description", ""))))
    return table


def _tools(tools: Sequence[ToolInfo]) -> Table:
    table = Table(title="tools", title_justify="left", title_style="bold")
    for column in ("tool", "arguments", "description"):
        table.add_column(column)
    for tool in tools:
        required = tool.input_schema.get("required", [])
        arguments = [
            f"{name}{'' if name in required else '?'}: {_type(field)}"
            for name, field in tool.input_schema.get("properties", {}).items()
        ]
        first, *_ = (tool.description or "").split("\n\n")
        table.add_row(*(escape(text) for text in (tool.name, "\n".join(arguments), " ".join(first.split()))))
    return table


def _default(field: Mapping[str, Any]) -> str:
    return f"no, {field['default']!r}" if "default" in field else "no"


def _type(field: Mapping[str, Any]) -> str:
    """The type of a field in a few words, with its range where it has one."""
    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2]
    if "const" in field:
        return repr(field["const"])
    if "enum" in field:
        return " | ".join(repr(value) for value in field["enum"])
    for union in ("anyOf", "oneOf", "allOf"):
        if union in field:
            return " | ".join(_type(one) for one in field[union])
    kind = str(field.get("type", "any"))
    if kind == "array":
        return f"array of {_type(field.get('items', {}))}"
    low = next(
        (f"{sign} {field[key]}" for key, sign in (("minimum", ">="), ("exclusiveMinimum", ">")) if key in field), ""
    )
    high = next(
        (f"{sign} {field[key]}" for key, sign in (("maximum", "<="), ("exclusiveMaximum", "<")) if key in field), ""
    )
    limits = ", ".join(limit for limit in (low, high) if limit)
    return f"{kind} ({limits})" if limits else kind
