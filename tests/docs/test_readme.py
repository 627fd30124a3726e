"""The README can be followed, and what it promises of its snippets holds."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from tests.docs.snippets import README, ROOT, Reader, Snippet, snippets_of

SNIPPETS = snippets_of(README)


def only(language: str, mark: str) -> Snippet:
    (found,) = (snippet for snippet in SNIPPETS if (snippet.language, snippet.mark) == (language, mark))
    return found


def test_the_two_commands_are_make_targets() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for line in only("console", "").text.splitlines():
        command, target = shlex.split(line, comments=True)
        assert command == "make"
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)


def test_the_environment_is_a_file_of_thirty_lines() -> None:
    written = [line for line in only("python", "file=guess.py").text.splitlines() if line.strip()]
    assert len(written) <= 30


@pytest.mark.e2e
@pytest.mark.timeout(300)
def test_it_can_be_followed(tmp_path: Path) -> None:
    with Reader(tmp_path) as reader:
        reader.follow(README)
    printed = {snippet: reader.printed.get(snippet.line) for snippet in SNIPPETS}
    scripts = [out for snippet, out in printed.items() if (snippet.language, snippet.mark) == ("python", "")]
    played, called, trained = scripts
    assert re.fullmatch(r"return: -?[01]\.0\n", played or "")
    assert re.search(r"/sessions/\w+/mcp'.*\n1 -0\.01\n", called or "")
    assert trained == "sticks on 20: True\n"
    answers = (printed[only("console", "curl")] or "").splitlines()
    assert '"hint":"a number from 1 to 100"' in answers[0]
    assert re.search(r'"hint":"(higher|lower|right)"', answers[1])
    assert '"step_count":1' in answers[2]
    assert all(out for snippet, out in printed.items() if snippet.mark == "run")
