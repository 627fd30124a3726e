"""``openenv serve``: an environment as a server in the foreground."""

from __future__ import annotations

import gc
import os
import re
import signal
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from openenv.app.resolve import Local, Remote, resolve
from openenv.cli.importing import importing
from openenv.errors import ConfigurationError, OpenEnvError
from openenv.settings import Mode, load_settings, secret_source

if TYPE_CHECKING:
    from openenv.app.guarding import Guard

__all__ = ["serve"]

# as elsewhere, from where they would be slow to import
Isolation = Literal["inline", "thread", "process"]
JournalMode = Literal["off", "relaxed", "durable"]
Listener = Literal["auto", "asgi"]

_LABEL = 10


def serve(
    target: Annotated[
        str | None, typer.Argument(help="Path or name of the environment.", metavar="[PATH|NAME]", show_default=".")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.", show_default="8000")
    ] = None,
    mode: Annotated[
        Mode | None,
        typer.Option(help="production: tools over MCP for real use, and nothing that controls episodes."),
    ] = None,
    auth: Annotated[
        bool, typer.Option("--auth", help="Ask for tokens. Those that no variable sets are new ones, printed once.")
    ] = False,
    agent_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port where there is nothing but MCP; agents are let in there alone."),
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(help="Name that the server answers to, besides its own. May be repeated.", metavar="NAME"),
    ] = None,
    allowed_origin: Annotated[
        list[str] | None,
        typer.Option(help="Web page that may speak to it, such as https://example.org. May be repeated."),
    ] = None,
    mcp_server: Annotated[
        list[str] | None,
        typer.Option(
            help="MCP server whose tools are mounted: a program or a URL. May be repeated; without PATH or NAME there "
            "are its tools alone.",
            metavar="NAME=COMMAND|URL",
        ),
    ] = None,
    max_sessions: Annotated[
        int | None, typer.Option(min=1, help="Sessions at the same time, instead of what the environment says.")
    ] = None,
    lease_s: Annotated[
        float | None,
        typer.Option(min=0.001, help="Seconds a session outlives its last connection; 900 unless the app says so."),
    ] = None,
    idle_timeout_s: Annotated[
        float | None,
        typer.Option(min=0.001, help="Seconds without a request after which a session ends; never unless given."),
    ] = None,
    isolation: Annotated[
        Isolation | None,
        typer.Option(help="Where sessions live; process: each in a process that can crash alone."),
    ] = None,
    worker_memory_mb: Annotated[
        int | None, typer.Option(min=1, help="Memory that a session's process may use, in MiB of address space.")
    ] = None,
    worker_cpu_s: Annotated[
        int | None, typer.Option(min=1, help="Processor time that a session's process may use in its life.")
    ] = None,
    journal: Annotated[
        Path | None,
        typer.Option(help="Directory of the journal, which lets sessions survive a restart; named by default."),
    ] = None,
    journal_mode: Annotated[
        JournalMode, typer.Option(help="What a reply waits for; relaxed survives kill -9, durable a power failure.")
    ] = "relaxed",
    grace_s: Annotated[
        int, typer.Option(min=0, help="Seconds that running requests are given when the server is stopped.")
    ] = 10,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes that share the port and the sessions; one runs on one core.")
    ] = 1,
    listener: Annotated[
        Listener, typer.Option(help="How WebSockets are carried; asgi: as under any other server, which is slower.")
    ] = "auto",
    reload: Annotated[
        bool, typer.Option("--reload", help="Start anew when a file changes. Sessions end when it does.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Log everything, with tracebacks.")] = False,
) -> None:
    """Serve an environment over HTTP, WebSocket and MCP until Ctrl-C."""
    local = _local(target, mcp_server or ())
    settings = load_settings()
    host, port = host or settings.host, settings.port if port is None else port
    if port and port == agent_port:
        raise ConfigurationError(f"agents cannot have port {port} of their own, since it is that of the server")
    if mode is None and settings.mode == "production":
        mode = "production"
    with importing():
        from openenv.app.guarding import guard
    guarded = guard(
        auth=auth or settings.auth,
        mode=mode,
        allowed_hosts=(*settings.allowed_hosts, *(allowed_host or ())),
        allowed_origins=allowed_origin or (),
    )
    if not guarded.options["auth"]:
        _warn_of_tokens()
    sessions: dict[str, Any] = {
        **guarded.options,
        "max_sessions": max_sessions or settings.max_sessions,
        "lease_s": lease_s,
        "idle_timeout_s": idle_timeout_s,
        "isolation": isolation,
        "worker_memory_mb": worker_memory_mb,
        "worker_cpu_s": worker_cpu_s,
        "journal": str(journal or settings.store / "journals" / _file_name(f"{local.name}-{port or os.getpid()}")),
        "journal_mode": journal_mode,
        "journal_is_required": journal is not None,
    }
    if reload:
        if workers > 1:
            raise ConfigurationError("--reload serves from one process; leave out --workers while you write")
        _serve_reloading(local, host, port, agent_port, sessions, debug, guarded)
        return
    if workers > 1:
        from openenv.app.several import serve_workers

        code = serve_workers(
            local,
            workers,
            host,
            port,
            sessions,
            on_ready=lambda url, agent_url, capacity: _say(
                local, url, f"up to {capacity} at the same time, {workers} workers", guarded, agent_url
            ),
            debug=debug,
            grace_s=grace_s,
            sockets=listener,
            agent_port=agent_port,
        )
        raise typer.Exit(code)
    with importing():
        from openenv.app.load import SessionOptions, load_app
        from openenv.app.serve import Listening
        from openenv.app.serve import serve as serve_app
    gc.freeze()  # what the author's module leaves is then all that there is to walk
    app = load_app(local, SessionOptions.of(**sessions))
    capacity = getattr(getattr(getattr(app, "state", None), "engine", None), "capacity", None)

    def ready(listening: Listening) -> None:
        told = None if capacity is None else f"up to {capacity} at the same time"
        _say(local, listening.url, told, guarded, listening.agent_url)

    serve_app(app, host, port, on_ready=ready, debug=debug, grace_s=grace_s, sockets=listener, agent_port=agent_port)


def _local(target: str | None, mcp_servers: Sequence[str]) -> Local:
    """What is to be served, with what is mounted in it."""
    if target is None and mcp_servers:
        local: Local | Remote = Local("mcp-servers", "openenv.app.outside:OutsideTools")
    else:
        local = resolve("." if target is None else target)
    if isinstance(local, Remote):
        raise ConfigurationError(f"{local.url} is served already; give the path or name of an environment")
    if not mcp_servers:
        return local
    from openenv.mounts import ServerDescription  # here: most environments mount none

    found = [ServerDescription.parsed(text) for text in mcp_servers]
    names = {one.name for one in found}
    others = (one for one in local.mcp_servers if one["name"] not in names)
    return replace(local, mcp_servers=(*others, *({"name": one.name, **one.described()} for one in found)))


def _serve_reloading(
    local: Local,
    host: str,
    port: int,
    agent_port: int | None,
    sessions: dict[str, Any],
    debug: bool,
    guarded: Guard,
) -> None:
    from openenv.app.binding import bind, url_of
    from openenv.app.making import embedded
    from openenv.app.reload import serve_reloading

    if local.directory is None:
        raise ConfigurationError(f"the files of {local.name} are not known; --reload needs a path or a name")
    agent_url: str | None = None
    if agent_port is not None:
        with bind(host, agent_port, "--agent-port") as found:  # it stays the same at every start
            agent_port, agent_url = found.getsockname()[1], url_of(found)
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        serve_reloading(
            embedded(local, sessions=sessions, host=host, port=port, agent_port=agent_port, debug=debug),
            Path(local.directory),
            stop=stop,
            on_ready=lambda url: _say(local, url, "end whenever a file changes", guarded, agent_url),
            on_failure=lambda error: _say_failure(local, error),
        )
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(local: Local, url: str, sessions: str | None, guarded: Guard, agent_url: str | None = None) -> None:
    """Where the server is and how to use it. New tokens are told here and nowhere else."""
    from openenv.app.guarding import token_variable

    production, auth = guarded.options["mode"] == "production", guarded.options["auth"]
    rows = [
        ("agents", None if agent_url is None else f"{agent_url}/mcp"),
        ("URL", url),
        ("MCP", f"{url}/mcp" if agent_url is None else None),
        ("API pages", None if auth else f"{url}/docs"),
        ("sessions", sessions),
        *((role, token) for role, token in guarded.drawn.items()),
        *((role, f"the token of {secret_source(token_variable(role))}") for role in guarded.given),
        ("stop", "Ctrl-C"),
    ]
    how = " for real use" if production else ""
    typer.echo(f"\n{typer.style('●', fg='green', bold=True)} {typer.style(local.name, bold=True)} is served{how}\n")
    width = max(len(label) for label, value in rows if value is not None) + 1
    for label, value in rows:
        if value is not None:
            typer.echo(f"  {typer.style(f'{label:<{max(width, _LABEL)}}', dim=True)} {value}")
    typer.echo()


def _warn_of_tokens() -> None:
    """Say which tokens nobody is asked for, though somebody has set them."""
    from openenv.app.guarding import unasked_tokens

    told = unasked_tokens()
    if told is not None:
        typer.secho("warning: ", fg="yellow", bold=True, err=True, nl=False)
        typer.echo(f"{told}; start with --auth or OPENENV_AUTH=1", err=True)


def _say_failure(local: Local, error: OpenEnvError) -> None:
    typer.secho("error: ", fg="red", bold=True, err=True, nl=False)
    typer.echo(error.message, err=True)
    typer.secho(f"{local.name} is started again when a file changes", dim=True, err=True)


def _file_name(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text)
