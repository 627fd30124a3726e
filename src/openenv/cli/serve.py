"""``openenv serve``: an environment as a server in the foreground."""

from __future__ import annotations

import gc
import os
import re
import signal
import threading
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from openenv.app.resolve import Local, Remote, resolve
from openenv.cli.importing import importing
from openenv.errors import ConfigurationError, OpenEnvError
from openenv.settings import load_settings

__all__ = ["serve"]

# as elsewhere, from where they would be slow to import
Isolation = Literal["inline", "thread", "process"]
JournalMode = Literal["off", "relaxed", "durable"]
Listener = Literal["auto", "asgi"]

_LABEL = 10


def serve(
    target: Annotated[str, typer.Argument(help="Path or name of the environment.", metavar="[PATH|NAME]")] = ".",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8000,
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
    """Serve an environment over HTTP and WebSocket until Ctrl-C."""
    local = resolve(target)
    if isinstance(local, Remote):
        raise ConfigurationError(f"{local.url} is served already; give the path or name of an environment")
    sessions: dict[str, Any] = {
        "max_sessions": max_sessions,
        "lease_s": lease_s,
        "idle_timeout_s": idle_timeout_s,
        "isolation": isolation,
        "worker_memory_mb": worker_memory_mb,
        "worker_cpu_s": worker_cpu_s,
        "journal": str(
            journal or load_settings().store / "journals" / _file_name(f"{local.name}-{port or os.getpid()}")
        ),
        "journal_mode": journal_mode,
        "journal_is_required": journal is not None,
    }
    if reload:
        if workers > 1:
            raise ConfigurationError("--reload serves from one process; leave out --workers while you write")
        _serve_reloading(local, host, port, sessions, debug)
        return
    if workers > 1:
        from openenv.app.several import serve_workers

        code = serve_workers(
            local,
            workers,
            host,
            port,
            sessions,
            on_ready=lambda url, capacity: _say(local, url, f"up to {capacity} at the same time, {workers} workers"),
            debug=debug,
            grace_s=grace_s,
            sockets=listener,
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
        _say(local, listening.url, None if capacity is None else f"up to {capacity} at the same time")

    serve_app(app, host, port, on_ready=ready, debug=debug, grace_s=grace_s, sockets=listener)


def _serve_reloading(local: Local, host: str, port: int, sessions: dict[str, Any], debug: bool) -> None:
    from openenv.app.making import embedded
    from openenv.app.reload import serve_reloading

    if local.directory is None:
        raise ConfigurationError(f"the files of {local.name} are not known; --reload needs a path or a name")
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        serve_reloading(
            embedded(local, sessions=sessions, host=host, port=port, debug=debug),
            Path(local.directory),
            stop=stop,
            on_ready=lambda url: _say(local, url, "end whenever a file changes"),
            on_failure=lambda error: _say_failure(local, error),
        )
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(local: Local, url: str, sessions: str | None) -> None:
    """Where the server is and how to use it."""
    rows = [("URL", url), ("API pages", f"{url}/docs"), ("sessions", sessions), ("stop", "Ctrl-C")]
    typer.echo(f"\n{typer.style('●', fg='green', bold=True)} {typer.style(local.name, bold=True)} is served\n")
    for label, value in rows:
        if value is not None:
            typer.echo(f"  {typer.style(f'{label:<{_LABEL}}', dim=True)} {value}")
    typer.echo()


def _say_failure(local: Local, error: OpenEnvError) -> None:
    typer.secho("error: ", fg="red", bold=True, err=True, nl=False)
    typer.echo(error.message, err=True)
    typer.secho(f"{local.name} is started again when a file changes", dim=True, err=True)


def _file_name(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text)
