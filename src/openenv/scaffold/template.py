"""The templates, and how one becomes the files of a package."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from enum import Enum
from importlib.resources import files
from importlib.resources.abc import Traversable

from openenv.scaffold.name import PackageName

__all__ = ["Template", "render"]

_SHARED = "shared"
_FILE = ".tmpl"  # so that no tool takes a template for what it will become
_PART = ".part"
_PLACEHOLDER = re.compile(r"@@([a-z_]+)@@")
_LINE_LENGTH = 120  # of the packages' own style


class Template(Enum):
    """What a package begins as."""

    GYM = "gym"
    """A small game on a grid: seeds, rewards, options, two kinds of end."""

    CODING = "coding"
    """A programming task: the action is Python code that runs in a sandbox, and tests judge it."""

    TOOLS = "tools"
    """A small shop behind tools, for agents that speak MCP and for trainers: seeds, rewards, state."""


def render(template: Template, name: PackageName) -> dict[str, str]:
    """The files of a package: paths relative to its directory, with ``/``, and their texts.

    A template is a directory of files whose names end with ``.tmpl``; files that all packages have are in one of
    their own, and those of the template go before them. ``@@word@@`` in a path or a text stands for a field of the
    name, for a line made from it, or for the text of ``word.part`` in the template's directory.
    """
    root = files("openenv.scaffold") / "templates"
    words: dict[str, str] = asdict(name) | _class_lines(name.prefix)
    found = {path: file for part in (_SHARED, template.value) for path, file in _walk(root / part)}
    texts = {path: file.read_text(encoding="utf-8") for path, file in sorted(found.items())}
    for path, text in texts.items():
        if path.endswith(_PART):
            words[path.removesuffix(_PART)] = _filled(text, words).removesuffix("\n")
    return {
        _filled(path, words).removesuffix(_FILE): _filled(text, words)
        for path, text in texts.items()
        if path.endswith(_FILE)
    }


def _class_lines(prefix: str) -> dict[str, str]:
    """The lines whose form depends on how long the name is, as the formatter of the package would have them."""
    types = f"[{prefix}Action, {prefix}Observation, {prefix}State]"
    lines = {}
    for word, kind, base in (
        ("environment_class", "Environment", "Environment"),
        ("client_class", "Client", "EnvClient"),
    ):
        line = f"class {prefix}{kind}({base}{types}):"
        broken = f"class {prefix}{kind}(\n    {base}{types}\n):"
        lines[word] = line if len(line) <= _LINE_LENGTH else broken
    return lines


def _walk(directory: Traversable, above: str = "") -> Iterator[tuple[str, Traversable]]:
    for entry in directory.iterdir():
        path = f"{above}{entry.name}"
        if entry.is_dir():
            yield from _walk(entry, f"{path}/")
        elif path.endswith((_FILE, _PART)):
            yield path, entry


def _filled(text: str, words: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: words[match[1]], text)
