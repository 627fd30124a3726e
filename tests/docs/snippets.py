"""The snippets of Markdown pages, and the reader who follows a page word for word.

A fence says what is done with its text:

    python              run as a script
    python notebook     run with ``await`` at the top level, as notebooks allow
    ANY file=NAME       written to that file, relative to where the reader stands
    console run         its lines are run one after the other; ``cd`` moves the reader
    console fails       the same, but every line has to fail
    console serve       started, and running until the next server or the end of the page
    console docker      run where a container engine is there
    console prepare     how to install OpenEnv itself, which is done already where tests run
    ANY output          what the snippet before it prints; ``...`` stands for anything
    json golden=V/NAME  a frame of the wire, the same as in tests/wire/golden
"""

from __future__ import annotations

import functools
import os
import re
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["PAGES", "README", "ROOT", "SHOWN_ONLY", "Reader", "Snippet", "anchors", "prose", "snippets_of"]

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]

SHOWN_ONLY = {("console", ""), ("console", "prepare"), ("text", ""), ("nginx", ""), ("yaml", "")}
"""Kinds that are looked at by other tests or by readers alone."""

_FENCE = re.compile(r"^```(\S+) ?([^\n]*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
_LIMIT_S = 300
_NOTEBOOK = """
import ast, asyncio, inspect, sys
code = compile(sys.argv[1], "<cell>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
async def cell():
    found = eval(code, {"__name__": "__main__"})
    if inspect.iscoroutine(found):
        await found
asyncio.run(cell())
"""


@dataclass(frozen=True)
class Snippet:
    """A fenced block.

    Attributes:
        page: The file it is in.
        line: Where its fence begins, from 1.
        language: The first word of the fence.
        mark: The rest of that line.
        text: What is inside.
    """

    page: Path
    line: int
    language: str
    mark: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def kind(self) -> tuple[str, str]:
        """Language and mark, without what the mark names."""
        return self.language, self.mark.partition("=")[0]


def snippets_of(page: Path) -> list[Snippet]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [Snippet(page, text.count("\n", 0, found.start()) + 1, *found.groups()) for found in _FENCE.finditer(text)]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """What a link may name after ``#``, as GitHub makes it from the headings."""
    headings = re.findall(r"^#+ (.*)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@functools.cache
def _has_engine() -> bool:
    try:
        return subprocess.run(["docker", "info"], capture_output=True, timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


@dataclass
class Reader:
    """Does what a page says, in an empty directory.

    Attributes:
        directory: Where the reader stands; ``cd`` changes it.
        bin: Where ``python`` and the commands are.
        printed: What each snippet has printed, by its line.
        address: Host and port of the running server, empty if there is none.
    """

    directory: Path
    bin: Path = Path(sys.executable).parent
    printed: dict[int, str] = field(default_factory=dict)
    address: str = ""
    _server: subprocess.Popen[str] | None = None
    _ends: tuple[int, ...] = (0,)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_server()

    def follow(self, page: Path) -> None:
        """Do everything that the page says, and compare what it shows with what comes."""
        shown = ""
        for snippet in snippets_of(page):
            language, mark = snippet.kind
            if mark == "output":
                assert _fits(snippet.text, shown), f"{snippet.where} shows\n{snippet.text}\nbut this came\n{shown}"
                continue
            if mark == "file":
                path = self.directory / snippet.mark.removeprefix("file=")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(self._local(snippet.text), encoding="utf-8")
                continue
            if language == "python":
                shown = self._python(snippet)
            elif (language, mark) == ("console", "serve"):
                shown = self._serve(snippet)
            elif language == "console" and mark in ("run", "curl", "fails"):
                shown = self._lines(snippet, fails=mark == "fails")
            elif (language, mark) == ("console", "docker"):
                shown = self._in_containers(snippet) if _has_engine() else ""
            else:
                assert snippet.kind in SHOWN_ONLY or mark == "golden", f"{snippet.where}: unknown kind {snippet.kind}"
                continue
            self.printed[snippet.line] = shown

    def _python(self, snippet: Snippet) -> str:
        code = self._local(snippet.text)
        arguments = ["-c", _NOTEBOOK, code] if snippet.mark == "notebook" else ["-c", code]
        return self._run([str(self.bin / "python"), "-W", "error", *arguments], snippet)

    def _lines(self, snippet: Snippet, *, fails: bool = False) -> str:
        printed = ""
        for line in snippet.text.replace("\\\n", " ").splitlines():
            command = shlex.split(self._local(line), comments=True)
            if not command:
                continue
            if command[0] == "cd":
                self.directory = self.directory / command[1]
                assert self.directory.is_dir(), f"{snippet.where}: there is no {self.directory}"
                continue
            if command[0] == "curl":
                command.insert(1, "-sS")
            out = self._run(command, snippet, fails=fails)
            printed += out if out.endswith("\n") or not out else f"{out}\n"
        return printed

    def _in_containers(self, snippet: Snippet) -> str:
        self._stop_server()  # a container listens where it is told to, not where a free port was
        wheels = self.directory / "wheels"  # this OpenEnv, which may be in no index
        wheel = ["pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), str(ROOT)]
        self._run(wheel, snippet)
        try:
            return self._lines(snippet)
        finally:
            for name in re.findall(r"--name (\S+)", snippet.text):
                subprocess.run(["docker", "rm", "--force", name], capture_output=True, timeout=60)

    def _run(self, command: list[str], snippet: Snippet, *, fails: bool = False) -> str:
        done = subprocess.run(
            self._found(command),
            cwd=self.directory,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_LIMIT_S,
        )
        assert (done.returncode != 0) == fails, f"{snippet.where}: {shlex.join(command)[:200]}\n{done.stdout}"
        return done.stdout

    def _serve(self, snippet: Snippet) -> str:
        self._stop_server()
        command = shlex.split(snippet.text, comments=True)
        self._ends = (0,) if command[0] == "openenv" else (0, -signal.SIGTERM)  # others raise the signal again
        self._server = subprocess.Popen(
            [*self._found(command), "--port", "0"],  # any free one, told below
            cwd=self.directory,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._server.stdout is not None
        seen, ends = "", False
        while not ends:
            line = self._server.stdout.readline()
            assert line, f"{snippet.where}: the server ended: {seen}"
            seen += line
            found = re.search(r"http://([\d.]+:\d+)", line)
            if found:
                self.address = found[1]
            ends = bool(self.address) and ("Ctrl-C" in line or "CTRL+C" in line)  # the last line of all that serve
        return seen.replace(self.address, "127.0.0.1:8000")

    def _stop_server(self) -> None:
        server, self._server, self.address = self._server, None, ""
        if server is not None:
            server.terminate()
            try:
                server.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.communicate()
                raise
            assert server.returncode in self._ends, f"the server ended with {server.returncode}"

    def _found(self, command: list[str]) -> list[str]:
        """The command, through its module where OpenEnv is on the path of modules but not installed."""
        if command[0] != "openenv" or (self.bin / "openenv").exists():
            return command
        return [str(self.bin / "python"), "-m", *command]

    def _local(self, text: str) -> str:
        """The text with the server that is running in place of the one it names."""
        return re.sub(r"\b(localhost|127\.0\.0\.1):8000\b", self.address, text) if self.address else text

    def _environment(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("OPENENV_", "PYTEST_"))}
        paths = [str(Path(one).resolve()) for one in own.pop("PYTHONPATH", "").split(os.pathsep) if one]
        if paths:
            own["PYTHONPATH"] = os.pathsep.join(paths)
        return {
            **own,
            "PATH": f"{self.bin}{os.pathsep}{own['PATH']}",
            "PIP_NO_BUILD_ISOLATION": "0",  # pip's way to say: with the build tools that are installed
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # a reader has none of the plugins that are here
            "COLUMNS": "100",
            "NO_COLOR": "1",
            "TERM": "dumb",
        }


def _fits(expected: str, printed: str) -> bool:
    """Whether the text is the expected one; ``...`` stands for anything, spaces at the end of a line for nothing."""
    pattern = ".*?".join(re.escape(part) for part in _trimmed(expected).split("..."))
    return re.fullmatch(pattern, _trimmed(printed), flags=re.DOTALL) is not None


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())
