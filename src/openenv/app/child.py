"""The server process behind an embedded environment, as the runtime starts it."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any

from openenv.errors import OpenEnvError, RuntimeFailure
from openenv.runtime.lifeline import Lifeline

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from openenv.app.serve import Listening

__all__ = ["main"]

_STEP_GRACE_S = 1  # nobody waits for the answer any more
_KILL_AFTER_S = 9.5  # a little before the parent would


class _End:
    """Stops the server if there is one yet, and else the process."""

    def __init__(self) -> None:
        self._listening: Listening | None = None
        self._lock = threading.Lock()

    def listening(self, listening: Listening) -> None:
        with self._lock:
            self._listening = listening

    def come(self) -> None:
        with self._lock:
            if self._listening is None:  # importing still: there is nothing to close
                os._exit(0)
            self._listening.stop()


def main() -> int:
    """Serve what the arguments say until the parent lets go; returns the exit code.

    Its arguments are the lifeline's file descriptor and the parent's process id. The lifeline brings the rest:
    ``app``, ``name``, ``import_roots``, and if wanted ``credentials`` (where they come from), ``sessions``, ``host``,
    ``port``, ``agent_port``, ``debug``, ``sockets``; of one of several workers also ``worker``, as
    ``fleet.Supervisor`` gives it, whose sockets are used instead of ports: the second is that of the agents.
    """
    fd, parent = sys.argv[1:3]
    lifeline = Lifeline(int(fd), int(parent))
    arguments = lifeline.receive()
    end = _End()
    if "worker" in arguments:  # which is told to stop by a signal: this is the death of its supervisor
        lifeline.watch(lambda: _bereft(int(parent), arguments["worker"]["paths"]), 0.0)
    else:
        lifeline.watch(end.come, _KILL_AFTER_S)
    try:
        _serve(arguments, lifeline, end)
    except OpenEnvError as error:
        lifeline.report_error(error)
        return 1
    except Exception as error:  # the parent waits for a word, whatever it is
        lifeline.report_error(RuntimeFailure(f"the server failed: {type(error).__name__}: {error}"))
        raise
    return 0


def _serve(arguments: dict[str, Any], lifeline: Lifeline, end: _End) -> None:
    # imported now that somebody watches: this takes the time that a start takes
    from openenv.app.load import SessionOptions, load_app
    from openenv.app.resolve import Local
    from openenv.app.serve import serve
    from openenv.environment import CredentialSource

    sources = tuple(CredentialSource(**one) for one in arguments.get("credentials", ()))
    local = Local(
        arguments["name"],
        arguments["app"],
        tuple(arguments["import_roots"]),
        credentials=sources,
        mcp_servers=tuple(arguments.get("mcp_servers", ())),
    )
    app = load_app(local, SessionOptions.of(**arguments.get("sessions", {})))

    def ready(listening: Listening) -> None:
        end.listening(listening)
        lifeline.report_ready(listening.url)

    worker = arguments.get("worker")
    around, listeners = (None, []) if worker is None else _joined(app, worker)
    listener, agent_listener, *_ = *listeners, None, None
    serve(
        app,
        arguments.get("host", "127.0.0.1"),
        arguments.get("port", 0),
        on_ready=ready,
        debug=arguments.get("debug", False),
        grace_s=arguments.get("grace_s", _STEP_GRACE_S),
        listener=listener,
        sockets=arguments.get("sockets", "auto"),
        around=around,
        agent_port=arguments.get("agent_port"),
        agent_listener=agent_listener,
    )


def _bereft(parent: int, paths: list[str]) -> None:
    """Remove what the supervisor would have removed."""
    for _ in range(100):
        if os.getppid() != parent:  # a moment after its sockets were closed
            shutil.rmtree(os.path.dirname(paths[0]), ignore_errors=True)
            return
        threading.Event().wait(0.01)


def _joined(app: ASGIApp, worker: dict[str, Any]) -> tuple[ASGIApp, list[socket.socket]]:
    """The application as that of one of several workers, and where it listens."""
    from openenv.fleet.member import Member
    from openenv.server.exposure import EXPOSURE

    if worker["index"]:
        EXPOSURE.keep_quiet()
    desk, door, *listeners = (socket.socket(fileno=fd) for fd in (worker["desk"], worker["door"], *worker["listeners"]))
    for one in (desk, door, *listeners):
        one.set_inheritable(False)
    return Member(app, worker["index"], worker["paths"], desk, door), listeners
