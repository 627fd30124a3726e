"""Serves ``kept`` with a place and a journal: ``python -m bench.apps.kept_server PORT ISOLATION JOURNAL MODE``."""

from __future__ import annotations

import sys
from typing import cast

from bench.apps.kept import Echo

from openenv.app import create_app
from openenv.app.serve import serve
from openenv.environment import Isolation
from openenv.record import JournalMode


def main() -> None:
    """Serve until told to stop."""
    port, isolation, journal, mode = sys.argv[1:5]
    app = create_app(
        Echo,
        max_concurrent_envs=100,
        isolation=cast(Isolation, isolation),
        journal=journal or None,
        journal_mode=cast(JournalMode, mode),
    )
    serve(app, port=int(port))


if __name__ == "__main__":
    main()
