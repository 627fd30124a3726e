"""The command line: what is listed, what is imported, and how errors are told."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import openenv
from openenv.cli import main
from openenv.cli.main import COMMANDS, build_app
from openenv.errors import ConfigurationError
from openenv.record import EventStore


def imported_by(*arguments: str) -> set[str]:
    """Modules that a run of the command line has imported at its end."""
    source = str(Path(openenv.__file__).parents[1])
    code = (
        f"import sys; sys.path.insert(0, {source!r}); from openenv.cli import main; main({list(arguments)!r});"
        "print('MODULES', *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    return set(done.stdout.rsplit("MODULES", 1)[1].split())


def test_the_version() -> None:
    result = CliRunner().invoke(build_app(["--version"]), ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"openenv {openenv.__version__}\n")


def test_help_lists_every_command() -> None:
    result = CliRunner().invoke(build_app(["--help"]), ["--help"])
    assert result.exit_code == 0
    for command in COMMANDS:
        assert command.name in result.stdout
        assert command.help in result.stdout


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_has_help_of_its_own(command: object) -> None:
    name = command.name  # type: ignore[attr-defined]
    result = CliRunner().invoke(build_app([name]), [name, "--help"])
    assert result.exit_code == 0, result.output
    assert f"openenv {name}" in result.stdout
    assert "Stands for a command" not in result.stdout


def test_every_command_is_in_the_repository() -> None:
    root = Path(__file__).resolve().parents[3]
    git = shutil.which("git")
    if git is None or not (root / ".git").exists():
        pytest.skip("no git checkout; run it in a clone of the repository")
    listed = subprocess.run([git, "ls-files", "src"], cwd=root, capture_output=True, text=True, check=True).stdout
    modules = {line.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for line in listed.splitlines()}
    missing = [command.module for command in COMMANDS if f"src.{command.module}" not in modules]
    assert not missing, f"listed in COMMANDS, but not tracked by git: {', '.join(missing)}"


def test_help_imports_no_command() -> None:
    loaded = imported_by("--help")
    assert not loaded & {
        "openenv.cli.rollout",
        "openenv.cli.serve",
        "openenv.record",
        "openenv.client",
        "fastapi",
        "httpx",
    }


def test_a_command_imports_what_it_needs(tmp_path: Path) -> None:
    EventStore.open(tmp_path, create=True).close()
    loaded = imported_by("trajectories", "list", "--store", str(tmp_path))
    assert "openenv.record" in loaded
    assert not loaded & {"openenv.cli.serve", "openenv.cli.rollout", "openenv.client", "fastapi", "httpx", "websockets"}


@pytest.mark.parametrize(
    "arguments", [["fly"], ["rollout"], ["rollout", "x", "--episodes", "0"], ["--nonsense"]], ids=str
)
def test_wrong_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "Error" in capsys.readouterr().err


def acting(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let the command line raise this."""

    def build(arguments: object) -> typer.Typer:
        raise error

    monkeypatch.setattr(sys.modules["openenv.cli.main"], "build_app", build)  # the package's `main` is a function


def test_a_known_error_is_its_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    acting(monkeypatch, ConfigurationError("no such thing;\n   name another"))
    assert main([]) == 1
    assert capsys.readouterr().err == "error: no such thing; name another\n"


def test_an_unexpected_error_says_how_to_see_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    acting(monkeypatch, KeyError("hand"))
    assert main([]) == 1
    assert capsys.readouterr().err == "error: unexpected KeyError: 'hand'; run again with --debug to see where\n"


@pytest.mark.parametrize("way", ["option", "variable"])
def test_debug_raises(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    acting(monkeypatch, KeyError("hand"))
    if way == "variable":
        monkeypatch.setenv("OPENENV_DEBUG", "1")
    with pytest.raises(KeyError):
        main(["--debug"] if way == "option" else [])


def test_ctrl_c_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    acting(monkeypatch, KeyboardInterrupt())
    assert main([]) == 130


def test_a_wrong_variable_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("OPENENV_PORT", "door")
    assert main(["trajectories", "list"]) == 1
    assert capsys.readouterr().err.startswith("error: OPENENV_PORT must be")
