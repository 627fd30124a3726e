"""The ``openenv`` command: which commands there are, and how an error is told."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any

import typer

from openenv.cli.importing import importing
from openenv.errors import OpenEnvError
from openenv.settings import load_settings
from openenv.version import __version__

__all__ = ["COMMANDS", "Command", "build_app", "main"]


@dataclass(frozen=True)
class Command:
    """A command, before its file is imported.

    Attributes:
        name: What the user types.
        help: One line for ``openenv --help``.
        module: The file it is in.
        attribute: What it is there: a function or, for a command with commands of its own, a ``typer.Typer``.
        error_code: Exit code of an error: 2 where 1 is an answer of the command.
    """

    name: str
    help: str
    module: str
    attribute: str
    error_code: int = 1

    def load(self) -> Any:
        """Import it."""
        with importing():
            return getattr(import_module(self.module), self.attribute)


COMMANDS = (
    Command("init", "Make a package for a new environment.", "openenv.cli.init", "init"),
    Command("serve", "Serve an environment over HTTP, WebSocket and MCP.", "openenv.cli.serve", "serve"),
    Command("mcp", "Offer an environment to agents: MCP over stdio.", "openenv.cli.mcp", "mcp"),
    Command("info", "Show what an environment is and takes.", "openenv.cli.info", "info"),
    Command("rollout", "Play many episodes at once and record every step.", "openenv.cli.rollout", "rollout"),
    Command("trajectories", "List, show and export what was recorded.", "openenv.cli.trajectories", "trajectories"),
    Command("replay", "Play recorded episodes again and compare.", "openenv.cli.replay", "replay", error_code=2),
    Command("plot", "Draw recorded runs: means and distributions.", "openenv.cli.plot", "plot"),
)


def build_app(arguments: Sequence[str]) -> typer.Typer:
    """The application for these arguments: the command they name is imported, the others are only listed."""
    app = typer.Typer(name="openenv", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    app.callback()(_root)
    wanted = _wanted(arguments)
    for command in COMMANDS:
        found = command.load() if command is wanted else _listed
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=command.name, help=command.help)
        else:
            app.command(command.name, help=command.help if found is _listed else None)(found)
    return app


def _wanted(arguments: Sequence[str]) -> Command | None:
    name = next((argument for argument in arguments if not argument.startswith("-")), "")
    return next((command for command in COMMANDS if command.name == name), None)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, or 1 for an error, 2 for wrong usage, 130 after Ctrl-C.

    Of a command that answers with 1, an error is 2 too.

    Args:
        arguments: What comes after ``openenv``; by default those of this process.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    debug = "--debug" in arguments
    try:
        debug = debug or load_settings().debug
        build_app(arguments)(list(arguments), prog_name="openenv")
    except SystemExit as end:  # how typer ends
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return 130
    except OpenEnvError as error:
        _tell(error, str(error), debug)
    except Exception as error:  # noqa: BLE001 - a traceback is for who asks for it
        _tell(error, f"unexpected {type(error).__name__}: {error}; run again with --debug to see where", debug)
    else:
        return 0
    command = _wanted(arguments)
    return 1 if command is None else command.error_code


def _tell(error: Exception, message: str, debug: bool) -> None:
    if debug:
        raise error
    typer.secho("error: ", fg="red", bold=True, err=True, nl=False)
    typer.echo(" ".join(message.split()), err=True)


def _listed() -> None:
    """Stands for a command that was not asked for."""


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"openenv {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """The socket between agents, environments and trainers."""
