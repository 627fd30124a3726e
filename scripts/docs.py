"""Writes the generated pages of docs/reference from the code; ``--check`` fails where one is stale."""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import typer

from openenv import errors
from openenv.cli.main import COMMANDS, build_app
from openenv.errors import OpenEnvError
from openenv.settings import variables

REFERENCE = Path(__file__).resolve().parent.parent / "docs" / "reference"
NOTE = "<!-- Written by scripts/docs.py from the code. Change the code, then run it again. -->"

PACKAGES = {
    "openenv": "What most programs need.",
    "openenv.types": "The models that are sent and answered.",
    "openenv.environment": "What authors of environments subclass.",
    "openenv.client": "Clients of a served environment.",
    "openenv.pool": "Many sessions of served environments, stepped together.",
    "openenv.testing": "For tests of environments.",
    "openenv.rollout": "Many episodes at once.",
    "openenv.record": "What was recorded.",
    "openenv.sandbox": "Untrusted programs as child processes.",
    "openenv.settings": "The environment variables.",
}


# Errors ------------------------------------------------------------------------------------------


def errors_page() -> str:
    """The table of errors, in the order of their tree."""
    rows = []
    for depth, cls in _tree(OpenEnvError, 0):
        builtin = next((base for base in cls.__bases__ if not issubclass(base, OpenEnvError)), None)
        also = f"`{builtin.__name__}`" if builtin not in (None, Exception) else ""
        rows.append(
            (
                f"`{cls.code}`",
                f"{'· ' * depth}`{cls.__name__}`",
                also,
                f"`{cls.v1_code}`",
                str(cls.http_status),
                str(cls.jsonrpc_code),
                "yes" if cls.retryable else "no",
                _cell((inspect.getdoc(cls) or "").partition("\n\nArgs:")[0]),
            )
        )
    heads = ("code", "class", "also a", "in v1", "HTTP", "JSON-RPC", "retryable", "meaning")
    return _page(
        "Errors",
        "Every error of OpenEnv is an `openenv.errors.OpenEnvError`, and each class can be imported from `openenv` "
        "too. A client raises the class that the server raised.",
        "A dot before a class stands for each class above it in the tree: who catches `SessionError` catches "
        "`EpisodeLost` too. *Also a* names the builtin that it derives from besides. *In v1* is the code that "
        "[protocol v1](wire.md#errors) knows it by. *Retryable* says whether the same request may succeed later. "
        "What to do about them: [errors and lost episodes](../how-to/errors-and-lost-episodes.md).",
        _table(heads, rows),
        "Every error has `message` (one line), `details` (a dict of JSON values for programs), `code` and `retryable`.",
    )


def _tree(cls: type[OpenEnvError], depth: int) -> Iterator[tuple[int, type[OpenEnvError]]]:
    yield depth, cls
    for child in cls.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from _tree(child, depth + 1)


# Settings ----------------------------------------------------------------------------------------


def settings_page() -> str:
    """The table of environment variables."""
    rows = [(f"`{one.name}`", _cell(one.type), f"`{one.default}`", _cell(one.meaning)) for one in variables()]
    return _page(
        "Settings",
        "The environment variables that OpenEnv reads. An option on the command line goes before the variable; a "
        "variable that is empty counts as not set. A value that cannot be is an error that names the variable.",
        _table(("variable", "value", "if not set", "meaning"), rows),
    )


# Command line ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parameter:
    """An argument or option of a command.

    Attributes:
        names: How it is written.
        value: What it takes; empty for a switch.
        default: What holds without it.
        meaning: Its help.
        is_option: Whether it is an option.
    """

    names: tuple[str, ...]
    value: str
    default: str
    meaning: str
    is_option: bool


@dataclass(frozen=True)
class Typed:
    """A command as it is typed.

    Attributes:
        line: With the commands it belongs to, such as ``openenv trajectories show``.
        summary: What it does, in a line.
        about: The same at length.
        parameters: Its arguments and options; ``--help``, which all have, is left out.
        children: The commands it has itself, as they are typed.
    """

    line: str
    summary: str
    about: str
    parameters: tuple[Parameter, ...]
    children: tuple[str, ...] = ()


def commands() -> list[Typed]:
    """Every command there is; first ``openenv`` itself."""
    root = build_app([]).registered_callback
    assert root is not None  # for the type checker: the options of all commands are there
    found = [_typed("openenv", root.callback, children=tuple(f"openenv {command.name}" for command in COMMANDS))]
    for command in COMMANDS:
        line, loaded = f"openenv {command.name}", command.load()
        if not isinstance(loaded, typer.Typer):
            found.append(_typed(line, loaded, command.help))
            continue
        named = [(info.name or _dashed(info.callback), info.callback) for info in loaded.registered_commands]
        below = [_typed(f"{line} {name}", function) for name, function in named]
        found += [Typed(line, command.help, command.help, (), tuple(child.line for child in below)), *below]
    return found


def _dashed(function: Any) -> str:
    return str(function.__name__).replace("_", "-")


def _typed(line: str, function: Any, summary: str = "", children: tuple[str, ...] = ()) -> Typed:
    about = inspect.getdoc(function) or summary
    own = []
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        kind, *infos = get_args(hints[name])
        info = next(one for one in infos if isinstance(one, typer.models.ParameterInfo))
        own.append(_parameter(name, kind, info, parameter.default))
    return Typed(line, summary or about.split("\n\n")[0], about, tuple(own), children)


def _parameter(name: str, kind: Any, info: typer.models.ParameterInfo, default: Any) -> Parameter:
    is_option = isinstance(info, typer.models.OptionInfo)
    first = (
        (info.default,) if isinstance(info.default, str) else ()
    )  # inside Annotated a name comes where the default was
    names = (*first, *(info.param_decls or ()))
    if not is_option:
        names = (info.metavar or name.upper(),)
    elif not names:
        dashed = name.replace("_", "-")
        names = (f"--{dashed}", f"--no-{dashed}") if kind is bool else (f"--{dashed}",)
    return Parameter(names, _value(kind, info), _default(info, default), info.help or "", is_option)


def _value(kind: Any, info: typer.models.ParameterInfo) -> str:
    """What an option takes, in words; empty for a switch."""
    if isinstance(kind, UnionType) or get_origin(kind) is Union:
        kind = next(one for one in get_args(kind) if one is not type(None))
    if get_origin(kind) is list:
        return f"{_value(get_args(kind)[0], info)}, any number of them"
    if kind is bool:
        return ""
    if get_origin(kind) is Literal:
        return " or ".join(f"`{one}`" for one in get_args(kind))
    if issubclass(kind, Enum):
        return " or ".join(f"`{one.value}`" for one in kind)
    words = {int: "number", float: "number", str: "text", Path: "path"}[kind]
    low = "" if info.min is None else f" from {info.min}"
    return words + low + ("" if info.max is None else f" to {_power(info.max)}")


def _power(number: float) -> str:
    return "2**63 - 1" if number == 2**63 - 1 else str(number)


def _default(info: typer.models.ParameterInfo, default: Any) -> str:
    if isinstance(info.show_default, str):
        return info.show_default
    if default is inspect.Parameter.empty:
        return "has to be given"
    found = getattr(default, "value", default)
    return "" if found in (None, "", False) else f"`{found}`"


def cli_page() -> str:
    """Every command with its arguments and options."""
    parts = [
        "`openenv COMMAND --help` says the same. An error is one line on standard error that begins with `error:`. The "
        "exit code is 0 if all went well, 1 after an error, 2 for wrong usage and 130 after Ctrl-C.",
    ]
    every = commands()
    summaries = {one.line: one.summary for one in every}
    for one in every:
        parts.append(f"{'##' if one.line.count(' ') < 2 else '###'} {one.line}")
        arguments = [parameter.names[0] for parameter in one.parameters if not parameter.is_option]
        options = ["[OPTIONS]"] if any(parameter.is_option for parameter in one.parameters) else []
        parts.append("    " + " ".join([one.line, *arguments, *options, *(["COMMAND"] if one.children else [])]))
        parts += [" ".join(part.split()) for part in one.about.split("\n\n")]
        if one.parameters:
            rows = [
                (", ".join(f"`{_cell(name)}`" for name in p.names), _cell(p.value), p.default, _cell(p.meaning))
                for p in one.parameters
            ]
            parts.append(_table(("", "value", "if not given", "meaning"), rows))
        if one.children:
            listed = [(f"[`{child}`](#{child.replace(' ', '-')})", _cell(summaries[child])) for child in one.children]
            parts.append(_table(("command", "what it does"), listed))
    return _page("Command line", *parts)


# Python ------------------------------------------------------------------------------------------


def python_page() -> str:
    """The public names of the packages that users import."""
    parts = [
        "What can be imported, with the first line of its docstring; the whole of it is in the code, and in "
        "`help(...)`. Names that are not here may change without notice. The errors have [their own page](errors.md).",
    ]
    for package, purpose in PACKAGES.items():
        module = importlib.import_module(package)
        rows = [
            (f"`{name}`", _kind(getattr(module, name)), _cell(_first_line(module, name)))
            for name in sorted(module.__all__)
            if not (package == "openenv" and name in errors.__all__)
        ]
        parts += [f"## {package}", purpose, _table(("name", "what", "meaning"), rows)]
    return _page("Python", *parts)


def _kind(value: Any) -> str:
    if inspect.isclass(value):
        return "error" if issubclass(value, Exception) else "class"
    return "function" if inspect.isroutine(value) else "value"


def _first_line(module: Any, name: str) -> str:
    value = getattr(module, name)
    text = inspect.getdoc(value) if inspect.isclass(value) or inspect.isroutine(value) else _of_value(module, name)
    return " ".join((text or "").split("\n\n")[0].split())


def _of_value(module: Any, name: str) -> str:
    """The docstring under an assignment, or the value itself where there is none."""
    for home in _homes(module):
        body = ast.parse(Path(home).read_text(encoding="utf-8")).body
        for node, after in pairwise(body):
            targets = node.targets if isinstance(node, ast.Assign) else []
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                    return str(after.value.value)
                if isinstance(node, ast.Assign):
                    return f"`{ast.unparse(node.value)}`"
    return ""


def _homes(module: Any) -> list[str]:
    """The files of a package, in which its names are assigned."""
    origin = Path(str(module.__file__))
    return [str(path) for path in sorted(origin.parent.glob("*.py"))] if origin.stem == "__init__" else [str(origin)]


# Pages -------------------------------------------------------------------------------------------


def _page(title: str, *parts: str) -> str:
    return "\n\n".join((f"# {title}", NOTE, *parts)) + "\n"


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cell(text: str) -> str:
    """A text as one cell: in one line, with Markdown's own quotes and no bars of its own."""
    return " ".join(text.split()).replace("``", "`").replace("|", "\\|")


GENERATED: dict[str, Callable[[], str]] = {
    "cli.md": cli_page,
    "errors.md": errors_page,
    "python.md": python_page,
    "settings.md": settings_page,
}


def main(arguments: list[str], reference: Path = REFERENCE) -> int:
    """Write the pages, or with ``--check`` look whether they are as they would be written."""
    stale = []
    for name, make in GENERATED.items():
        path, text = reference / name, make()
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        if "--check" in arguments:
            stale.append(name)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"{path.relative_to(reference.parent.parent)} written")
    if stale:
        print(f"stale: {', '.join(stale)}; run python scripts/docs.py and commit what it writes", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
