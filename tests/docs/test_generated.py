"""The generated pages are those that the code would give, and nothing of it is missing in them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.docs.generator import load_generator
from tests.docs.snippets import PAGES, ROOT, prose

from openenv.errors import ERRORS
from openenv.settings import variables

REFERENCE = ROOT / "docs" / "reference"


def test_they_are_fresh() -> None:
    assert load_generator().main(["--check"]) == 0, "run: python scripts/docs.py"


@pytest.mark.parametrize("name", ["cli.md", "errors.md", "python.md", "settings.md"])
def test_a_stale_page_is_seen_and_mended(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generator, copy = load_generator(), tmp_path / "docs" / "reference"
    shutil.copytree(REFERENCE, copy)
    fresh = (copy / name).read_text(encoding="utf-8")
    for text in (fresh.replace("|", "!", 1), ""):
        (copy / name).write_text(text, encoding="utf-8")
        assert generator.main(["--check"], copy) == 1
        assert capsys.readouterr().err.startswith(f"stale: {name};")
        assert (copy / name).read_text(encoding="utf-8") == text, "--check must not write"
        assert generator.main([], copy) == 0
        assert (copy / name).read_text(encoding="utf-8") == fresh


def test_a_missing_page_is_written(tmp_path: Path) -> None:
    generator, copy = load_generator(), tmp_path / "docs" / "reference"
    assert generator.main(["--check"], copy) == 1
    assert generator.main([], copy) == 0
    assert generator.main(["--check"], copy) == 0


@pytest.mark.parametrize("code", ERRORS)
def test_every_error_is_in_the_docs(code: str) -> None:
    (row,) = [line for line in prose(REFERENCE / "errors.md").splitlines() if line.startswith(f"| `{code}` |")]
    cells = [cell.strip() for cell in row.strip("|").split(" | ")]
    cls = ERRORS[code]
    assert f"`{cls.__name__}`" in cells[1]
    assert cells[3:7] == [
        f"`{cls.v1_code}`",
        str(cls.http_status),
        str(cls.jsonrpc_code),
        "yes" if cls.retryable else "no",
    ]


@pytest.mark.parametrize("variable", variables(), ids=lambda one: one.name)
def test_every_setting_is_in_the_docs(variable: object) -> None:
    text = prose(REFERENCE / "settings.md")
    assert f"`{variable.name}`" in text
    assert variable.meaning.replace("``", "`") in text


def test_every_command_and_option_is_in_the_docs() -> None:
    text = prose(REFERENCE / "cli.md")
    commands = load_generator().commands()
    assert {"openenv serve", "openenv trajectories export"} <= {one.line for one in commands}
    for one in commands:
        _, _, section = text.partition(f" {one.line}\n")
        section = section.split("\n#")[0]
        for parameter in one.parameters:
            for name in parameter.names:
                assert name.replace("|", "\\|") in section, f"{one.line} has {name}, which its section does not name"


def test_the_options_are_those_that_the_help_shows(capsys: pytest.CaptureFixture[str]) -> None:
    from openenv.cli import main

    for one in load_generator().commands():
        assert main([*one.line.split()[1:], "--help"]) == 0
        shown = capsys.readouterr().out
        for parameter in one.parameters:
            if parameter.is_option:
                assert all(name in shown for name in parameter.names), f"{one.line}: {parameter.names}"


def test_errors_that_users_meet_are_told_what_to_do() -> None:
    advice = next(page for page in PAGES if page.name == "errors-and-lost-episodes.md")
    text = prose(advice)
    leaves = [cls for cls in ERRORS.values() if not cls.__subclasses__()]
    of_frames = {"InvalidJSON", "UnknownType", "InvalidRequest", "MessageTooLarge", "StaleRequest", "SessionBusy"}
    reached_by_id = {"SessionNotFound"}
    for cls in leaves:
        if cls.__module__ == "openenv.errors" and cls.__name__ not in of_frames | reached_by_id:
            assert f"`{cls.__name__}`" in text, f"{advice.name} says nothing about {cls.__name__}"
