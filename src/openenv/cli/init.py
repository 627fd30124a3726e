"""``openenv init``: the package of a new environment."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from openenv.scaffold import CreatedPackage, Template, create_package

__all__ = ["init"]


def init(
    name: Annotated[str, typer.Argument(help="Name of the environment, such as maze-env.")],
    template: Annotated[
        Template, typer.Option(help="What it begins as: a game on a grid, a programming task, or a shop behind tools.")
    ] = Template.GYM,
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Directory to write it to, empty or new.", show_default="./NAME")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Make a package for a new environment: served, tested, typed and ready for a container."""
    _say(create_package(name, template=template, directory=directory))


def _say(package: CreatedPackage) -> None:
    """What was made, and what to do with it."""
    there = shlex.quote(str(package.directory))
    steps: tuple[tuple[str, str], ...] = (
        (f"cd {there} && pip install -e '.[dev]'", "install it with what its tests need"),
        ("pytest", "hold it to the rules that every environment keeps"),
        ("openenv serve", "serve it on http://127.0.0.1:8000"),
    )
    if package.template is Template.TOOLS:
        connect = f"claude mcp add --transport http {package.name.module} http://127.0.0.1:8000/mcp"
        steps = (*steps, (connect, "let an agent play it; any other MCP client will do"))
    if there == ".":
        steps = (("pip install -e '.[dev]'", steps[0][1]), *steps[1:])
    width = max(len(command) for command, _ in steps)
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        Text.assemble(
            ("\n● ", "bold green"),
            (package.name.title, "bold"),
            f" is written to {package.directory} ",
            (f"({len(package.files)} files, template {package.template.value})\n", "dim"),
        )
    )
    for command, meaning in steps:
        console.print(Text.assemble("  ", (f"{command:<{width}}", "cyan"), "  ", (meaning, "dim")))
    console.print()
