"""Holds the source to the rules of CONTRIBUTING.md that no linter knows."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "openenv"
MAX_LINES = 350
EXCUSE = "Longer than 350 lines because"
VAGUE = {"utils", "util", "helpers", "helper", "common", "manager", "provider", "misc"}
ENVIRON_NAMES = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}

SOURCES = sorted(PACKAGE.rglob("*.py"))
ALL_FILES = sorted(
    path
    for folder in ("src", "tests", "envs", "examples", "bench", "scripts")
    for path in (ROOT / folder).rglob("*.py")
    if not {".venv", "build", "dist"} & set(path.relative_to(ROOT).parts)
)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def environ_uses(code: str) -> list[int]:
    """Lines that touch the process's environment variables."""
    lines = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Attribute) and node.attr in ENVIRON_NAMES:
            lines.append(node.lineno)
        elif isinstance(node, ast.ImportFrom) and node.module in {"os", "posix"}:
            lines += [node.lineno for alias in node.names if alias.name in ENVIRON_NAMES]
    return lines


def unexplained_catches(code: str) -> list[int]:
    """Lines that catch everything and keep it, without a comment that says why."""
    lines = code.splitlines()
    found = []
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.ExceptHandler):
            continue
        last = node.body[-1]
        if isinstance(last, ast.Raise) and last.exc is None:
            continue  # it lets everything go on
        caught = [node.type] if not isinstance(node.type, ast.Tuple) else node.type.elts
        names = {one.id if isinstance(one, ast.Name) else None for one in caught}
        broad = node.type is None or bool(names & {"Exception", "BaseException"})
        if broad and not re.search(r"#\s*(?:noqa:\s*\w+\s*)?-?\s*[A-Za-z]\w*\s+\w", lines[node.lineno - 1]):
            found.append(node.lineno)
    return found


def too_long(code: str) -> bool:
    return len(code.splitlines()) > MAX_LINES and EXCUSE not in code


def public_names(code: str) -> set[str]:
    """Public names that a package's ``__init__`` defines, or imports from inside openenv.

    What it imports under ``TYPE_CHECKING`` counts: that is how a lazy package says what it has.
    """
    found: set[str] = set()
    pending: list[ast.stmt] = list(ast.parse(code).body)
    while pending:
        node = pending.pop()
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
        elif isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").split(".")[0] == "openenv"):
            for alias in node.names:
                if alias.name == "*":
                    found |= set(importlib.import_module(node.module or "").__all__)
                elif node.module != "openenv.lazy":  # which is how it gives names, and none of them
                    found.add(alias.asname or alias.name)
        elif isinstance(node, ast.If):
            pending += [*node.body, *node.orelse]
    return {name for name in found if not name.startswith("_")}


def test_there_is_something_to_check() -> None:
    assert PACKAGE / "errors.py" in SOURCES
    assert Path(__file__) in ALL_FILES


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_only_settings_reads_environment_variables(path: Path) -> None:
    if path.relative_to(PACKAGE).parts[0] in {"settings.py", "settings"}:
        pytest.skip("settings is the one reader")
    lines = environ_uses(path.read_text(encoding="utf-8"))
    assert not lines, f"{name_of(path)} touches environment variables in lines {lines}; let openenv.settings do it"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_what_catches_everything_says_why(path: Path) -> None:
    lines = unexplained_catches(path.read_text(encoding="utf-8"))
    assert not lines, f"{name_of(path)} lines {lines}: say behind 'except Exception' why nothing may escape"


@pytest.mark.parametrize("path", ALL_FILES, ids=name_of)
def test_files_are_short(path: Path) -> None:
    assert not too_long(path.read_text(encoding="utf-8")), (
        f"{name_of(path)} has over {MAX_LINES} lines; split it, or write '{EXCUSE} …' in it"
    )


@pytest.mark.parametrize("path", ALL_FILES, ids=name_of)
def test_files_say_what_they_are(path: Path) -> None:
    assert path.stem not in VAGUE, f"{name_of(path)}: the name does not say what is in it"
    code = ast.parse(path.read_text(encoding="utf-8"))
    if code.body:
        docstring = ast.get_docstring(code) or ""
        assert docstring.split("\n\n")[0].rstrip().endswith((".", "::", ":")), (
            f"{name_of(path)} needs a docstring that says in a sentence what the file is"
        )


@pytest.mark.parametrize("path", [path for path in SOURCES if path.name == "__init__.py"], ids=name_of)
def test_packages_export_what_they_say(path: Path) -> None:
    parts = path.relative_to(PACKAGE.parent).parent.parts
    code = path.read_text(encoding="utf-8")
    if not ast.parse(code).body[1:]:
        return  # a docstring alone: nothing is exported
    module = importlib.import_module(".".join(parts))
    exported = module.__all__
    assert len(exported) == len(set(exported)), "a name stands twice in __all__"
    for name in exported:
        assert getattr(module, name) is not None, f"{name} is in __all__ but does not exist"
    assert set(exported) - {"__version__"} == public_names(code)


# The checks themselves ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        "import os\nos.environ['A']",
        "import os\nos.getenv('A')",
        "from os import environ as e",
        "import os as o\no.environ",
    ],
)
def test_a_read_of_the_environment_is_seen(code: str) -> None:
    assert environ_uses(code)


def test_other_uses_of_os_are_fine() -> None:
    assert not environ_uses("import os\nos.getpid()\nfrom os import path\n# os.environ")


@pytest.mark.parametrize("caught", ["", " Exception", " BaseException as error", " (ValueError, Exception)"])
@pytest.mark.parametrize("comment", ["", "  # noqa: BLE001", "  # noqa: BLE001 -"])
def test_a_silent_catch_is_seen(caught: str, comment: str) -> None:
    assert unexplained_catches(f"try:\n    pass\nexcept{caught}:{comment}\n    pass\n") == [3]


@pytest.mark.parametrize("comment", ["# noqa: BLE001 - cleanup must go on", "# cleanup must go on"])
def test_an_explained_catch_is_fine(comment: str) -> None:
    assert not unexplained_catches(f"try:\n    pass\nexcept Exception:  {comment}\n    pass\n")
    assert not unexplained_catches("try:\n    pass\nexcept ValueError:\n    pass\n")
    assert not unexplained_catches("try:\n    pass\nexcept BaseException:\n    raise\n")


def test_a_long_file_needs_an_excuse() -> None:
    code = "x = 1\n" * MAX_LINES
    assert not too_long(code)
    assert too_long(code + "x = 1\n")
    assert not too_long(code + f"# {EXCUSE} it is one table.\n")


def test_public_names_of_a_package() -> None:
    code = (
        "import os\nfrom typing import TYPE_CHECKING\nfrom openenv.errors import OpenEnvError as Base\n"
        "from .inner import thing, _hidden\nif TYPE_CHECKING:\n    from openenv.types import Action\n"
        "LIMIT = 3\nwidth: int = 4\ndef call(): ...\nclass Kind: ...\n_private = 1\n__all__ = []\n"
    )
    assert public_names(code) == {"Base", "thing", "Action", "LIMIT", "width", "call", "Kind"}
    assert "ActionInvalid" in public_names("from openenv.errors import *")
