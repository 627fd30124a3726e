"""The server process behind an embedded environment, as the runtime starts it."""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

from openenv.errors import OpenEnvError, RuntimeFailure
from openenv.runtime.lifeline import Lifeline

if TYPE_CHECKING:
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

    The arguments are the lifeline's file descriptor, the parent's process id, and a JSON object: ``app``, ``name``,
    ``import_roots``, and if wanted ``sessions``, ``host``, ``port``, ``debug``.
    """
    fd, parent, raw = sys.argv[1:4]
    lifeline = Lifeline(int(fd), int(parent))
    end = _End()
    lifeline.watch(end.come, _KILL_AFTER_S)
    try:
        _serve(json.loads(raw), lifeline, end)
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

    local = Local(arguments["name"], arguments["app"], tuple(arguments["import_roots"]))
    app = load_app(local, SessionOptions.of(**arguments.get("sessions", {})))

    def ready(listening: Listening) -> None:
        end.listening(listening)
        lifeline.report_ready(listening.url)

    serve(
        app,
        arguments.get("host", "127.0.0.1"),
        arguments.get("port", 0),
        on_ready=ready,
        debug=arguments.get("debug", False),
        grace_s=_STEP_GRACE_S,
    )
