"""``openenv init``: what it says, and what it refuses in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from openenv.cli import main


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line.strip() for line in capsys.readouterr().out.splitlines() if line.strip()]


def test_it_says_what_to_do_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", "my-env"]) == 0
    written, *steps = said(capsys)
    assert written.startswith("● My Env is written to my-env (")
    assert "template gym" in written
    assert [step.split("  ")[0] for step in steps] == [
        "cd my-env && pip install -e '.[dev]'",
        "pytest",
        "openenv serve",
    ]
    assert (tmp_path / "my-env" / "src" / "my_env" / "agent.py").is_file()


def test_another_template_and_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", "my-env", "--template", "coding", "--dir", "two words"]) == 0
    written, first, *_ = said(capsys)
    assert "two words" in written
    assert first.startswith("cd 'two words' && ")
    assert (tmp_path / "two words" / "src" / "my_env" / "server" / "tasks.py").is_file()


def test_tools_are_for_agents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", "my-env", "--template", "tools"]) == 0
    assert said(capsys)[-1].startswith("claude mcp add --transport http my_env http://127.0.0.1:8000/mcp ")
    assert (tmp_path / "my-env" / "src" / "my_env" / "server" / "shop.py").is_file()


def test_nowhere_to_go_where_one_is_already(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", "my-env", "--dir", "."]) == 0
    assert said(capsys)[1].startswith("pip install -e '.[dev]' ")
    assert (tmp_path / "pyproject.toml").is_file()


@pytest.mark.parametrize("arguments", [["2048"], ["class"], ["json"], ["my-env", "--dir", "full"]], ids=" ".join)
def test_what_cannot_be_made_is_one_line(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").touch()
    assert main(["init", *arguments]) == 1
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.startswith("error: ")
    assert streams.err.count("\n") == 1
    assert {path.name for path in tmp_path.rglob("*")} == {"full", "notes.txt"}


def test_an_unknown_template_is_wrong_usage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", "my-env", "--template", "chess"]) == 2
    assert list(tmp_path.iterdir()) == []
