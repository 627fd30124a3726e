"""Every snippet of the README does what it says."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Snippet:
    language: str
    mark: str
    text: str


SNIPPETS = [
    Snippet(*found) for found in re.findall(r"^```(\w+) ?(\S*)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
]


def marked(mark: str) -> list[Snippet]:
    found = [snippet for snippet in SNIPPETS if snippet.mark == mark]
    assert found, f"the README has no snippet marked {mark!r}"
    return found


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A directory with the README's file in it."""
    (snippet,) = marked("file=guess.py")
    (tmp_path / "guess.py").write_text(snippet.text, encoding="utf-8")
    return tmp_path


def run(arguments: list[str], directory: Path) -> str:
    # the commands of the interpreter that runs the tests come first
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        arguments, cwd=directory, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_kind_of_snippet_is_known() -> None:
    kinds = {(snippet.language, snippet.mark) for snippet in SNIPPETS}
    assert kinds == {
        ("console", ""),
        ("python", ""),
        ("python", "file=guess.py"),
        ("console", "run"),
        ("console", "serve"),
        ("console", "curl"),
    }


def test_the_two_commands_are_make_targets() -> None:
    (snippet,) = (s for s in SNIPPETS if (s.language, s.mark) == ("console", ""))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for line in snippet.text.splitlines():
        command, target = shlex.split(line, comments=True)
        assert command == "make"
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)


@pytest.mark.e2e
@pytest.mark.parametrize("snippet", [s for s in SNIPPETS if (s.language, s.mark) == ("python", "")], ids=lambda s: s.text[:40])
def test_python_snippets_run(snippet: Snippet, tmp_path: Path) -> None:
    printed = run([sys.executable, "-c", snippet.text], tmp_path)
    assert re.fullmatch(r"return: -?[01]\.0\n|sticks on 20: True\n", printed)


@pytest.mark.e2e
@pytest.mark.parametrize("snippet", [s for s in SNIPPETS if s.mark == "run"], ids=lambda s: s.text[:30])
def test_commands_run(snippet: Snippet, workplace: Path) -> None:
    for line in snippet.text.splitlines():
        assert run(shlex.split(line, comments=True), workplace)


def test_the_environment_is_a_file_of_thirty_lines() -> None:
    (snippet,) = marked("file=guess.py")
    written = [line for line in snippet.text.splitlines() if line.strip()]
    assert len(written) <= 30


@contextmanager
def serving(command: list[str], directory: Path) -> Iterator[str]:
    """The README's serve command on a free port; gives host and port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    server = subprocess.Popen(
        [*command, "--port", str(port)], cwd=directory, env={**os.environ, "PATH": path}, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    try:
        seen = ""
        while str(port) not in seen:  # it prints its address when it listens
            line = server.stdout.readline()
            assert line, f"the server ended: {seen}"
            seen += line
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.communicate(timeout=20)
    assert server.returncode == 0


@pytest.mark.e2e
def test_the_served_file_answers_curl(workplace: Path) -> None:
    (serve,), (curl,) = marked("serve"), marked("curl")
    with serving(shlex.split(serve.text), workplace) as base:
        answers = [
            run([*shlex.split(line.replace("localhost:8000", base)), "-sS", "--fail"], workplace)
            for line in curl.text.splitlines()
        ]
    assert '"hint":"a number from 1 to 100"' in answers[0]
    assert re.search(r'"hint":"(higher|lower|right)"', answers[1])
    assert '"step_count":1' in answers[2]
