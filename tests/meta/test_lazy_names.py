"""Names that a package gives lazily: a module of the same name would take their place once it is imported."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import openenv

ROOT = Path(openenv.__file__).parent
LAZY = [path for path in sorted(ROOT.rglob("__init__.py")) if "on_first_use(" in path.read_text(encoding="utf-8")]


def exported(package: Path) -> set[str]:
    """What ``__all__`` names."""
    for node in ast.parse(package.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(getattr(one, "id", "") == "__all__" for one in node.targets):
            return {one.value for one in ast.walk(node.value) if isinstance(one, ast.Constant)}  # type: ignore[misc]
    return set()


@pytest.mark.parametrize("package", LAZY, ids=lambda path: str(path.parent.relative_to(ROOT.parent)))
def test_no_module_has_the_name_of_what_its_package_gives(package: Path) -> None:
    modules = {path.stem for path in package.parent.glob("*.py")}
    modules |= {path.parent.name for path in package.parent.glob("*/__init__.py")}
    names = exported(package)
    assert names
    assert not names & modules


def test_there_are_such_packages() -> None:
    assert ROOT / "__init__.py" in LAZY
