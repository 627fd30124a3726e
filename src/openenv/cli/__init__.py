"""The command line, one file a command."""

from openenv.cli.main import main

__all__ = ["main"]
