"""An episode as people read it."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from rich.text import Text

from openenv.record import Event, Run, Trajectory
from openenv.rollout.passages import Layout, laid_out, printable
from openenv.rollout.story import print_story

RUN = Run(id="r1", started_at=100.0, environment="coding", agent="players:solve", seed=3)


def event(index: int, kind: Any, request: Any, reply: Any) -> Event:
    return Event("r1", "e1", index, kind, 100.0 + index, 0.25, request, reply)


def answer(observation: Any, reward: float | None = None, **fields: Any) -> dict[str, Any]:
    return {"observation": observation, "reward": reward, "done": False, "metadata": {}, **fields}


RESET = event(0, "reset", {"seed": 7}, answer({"hand": [10, 5]}, metadata={"seed": 8, "episode_id": "e1"}))


def told(*events: Event, layout: Layout | None = None, **options: Any) -> str:
    screen = Console(file=io.StringIO(), width=100, highlight=False, **options)
    print_story(screen, RUN, Trajectory.of([RESET, *events]), layout)
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue()


def shown(value: Any, layout: Layout | None = None, width: int = 60) -> list[str]:
    screen = Console(file=io.StringIO(), width=width, highlight=False)
    for part in laid_out(value, layout or Layout()):
        screen.print(part)
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue().splitlines()


def test_a_story_from_header_to_end() -> None:
    step = event(1, "step", {"action": {"move": "hit", "metadata": {}}}, answer({"hand": 12}, 1.0, terminated=True))
    end = event(2, "end", {}, {"status": "done", "truncated_by": "max_steps"})
    assert told(step, end).splitlines() == [
        "episode e1 · coding · players:solve · done · 1 step · return +1.000 · seed 8",
        "",
        f"── reset {'─' * 54} 250.0 ms",
        "observation",
        "  hand: [10,5]",
        "",
        f"── step 1 {'─' * 24} terminated · reward +1.000 · 250.0 ms",
        "action",
        "  move: hit",
        "observation",
        "  hand: 12",
        "",
        "── episode done",
        "  truncated_by: max_steps",
    ]


def test_an_error_is_what_it_was() -> None:
    failed = event(
        1,
        "error",
        {"action": {"move": "fly"}},
        {
            "code": "AGENT_ERROR",
            "message": "[bold]no\x1b[2J idea",
            "details": {"traceback": "Traceback:\n  File 'a'\n"},
        },
    )
    lines = told(failed, event(2, "end", {}, {"status": "failed"})).splitlines()
    at = lines.index("error")
    assert lines[at - 1 : at + 5] == [
        "  move: fly",
        "error",
        "  AGENT_ERROR: [bold]no\\x1b[2J idea",
        "  traceback:",
        "    │ Traceback:",
        "    │   File 'a'",
    ]
    assert lines[-1] == "── episode failed"


def test_an_episode_without_an_end_says_so() -> None:
    assert "no end was recorded" in told()
    assert "no end was recorded" not in told(event(1, "end", {}, {"status": "interrupted"}))


def test_metadata_is_shown_but_for_what_the_header_says() -> None:
    step = event(1, "step", {"action": {}}, answer({}, metadata={"seed": 1, "sandbox": "none"}))
    lines = told(step).splitlines()
    assert lines[-4:-2] == ["metadata", "  sandbox: none"]
    assert lines.count("metadata") == 1


def test_code_has_colours_in_a_terminal_only() -> None:
    step = event(1, "step", {"action": {"code": "import math\nx = 1"}}, answer({"stdout": ""}, -1.0))
    assert "\x1b" not in told(step)
    coloured = told(step, force_terminal=True, color_system="standard")
    assert "\x1b[" in coloured
    plain = Text.from_ansi(coloured).plain
    assert plain.rstrip("\n") == told(step).rstrip("\n")
    before = next(line for line in coloured.splitlines() if "math" in line)
    assert before.count("\x1b[") > 3  # gutter, keyword and name have one each


def test_short_fields_share_a_line_and_texts_are_blocks() -> None:
    value = {
        "exit_code": 0,
        "value": None,
        "stdout": "25\n",
        "stderr": "",
        "answer": "12",
        "said": " x · y",
        "word": "hit",
        "code": "x = 1",
    }
    assert shown(value) == [
        "exit_code: 0 · value: null",
        "stdout:",
        "  │ 25",
        'stderr: "" · answer: "12" · said: " x · y" · word: hit',
        "code:",
        "  │ x = 1",
    ]


def test_what_is_nested_is_indented() -> None:
    value = {"messages": [{"role": "user", "content": "one\ntwo"}, {"role": "tool"}], "near": {"a": [1, {"b": 2}]}}
    assert shown(value) == [
        "messages:",
        "  [0]:",
        "    role: user",
        "    content:",
        "      │ one",
        "      │ two",
        '  [1]: {"role":"tool"}',
        'near: {"a":[1,{"b":2}]}',
    ]
    assert shown({}) == ["nothing"]
    assert shown({"metadata": {}}) == ["nothing"]
    assert shown({"metadata": {"a": 1}}) == ['metadata: {"a":1}']
    assert shown("x") == ["x"]
    assert shown([1, 2]) == ["[1,2]"]


def test_long_texts_are_cut_in_the_middle_and_say_by_how_much() -> None:
    lines = [f"line {index}" for index in range(100)]
    got = shown({"stdout": "\n".join(lines)}, Layout(lines=10))
    assert got == [
        "stdout:",
        *(f"  │ line {index}" for index in range(8)),
        f"  │ … 90 lines with {sum(map(len, lines[8:98])):,} characters left out",
        "  │ line 98",
        "  │ line 99",
    ]
    assert len(shown({"stdout": "\n".join(lines)}, Layout(lines=0))) == 101
    assert len(shown({"stdout": "\n".join(lines)}, Layout(lines=100))) == 101


def test_long_lines_are_cut_and_folded() -> None:
    assert shown({"stdout": "x" * 5000}, Layout(characters=70)) == [
        "stdout:",
        "  │ " + "x" * 56,
        "  │ " + "x" * 14 + " … 4,930 characters left out",
    ]
    assert shown({"stdout": "ab " + "界" * 30}, width=44) == ["stdout:", "  │ ab " + "界" * 18, "  │ " + "界" * 12]
    assert "".join(shown({"stdout": "x" * 5000}, Layout(characters=0))).count("x") == 5000
    numbers = shown({"numbers": list(range(1000))}, Layout(characters=100))
    assert " ".join(" ".join(numbers).split()).endswith("… 3,791 characters left out")


def test_prose_is_folded_between_words_and_columns_are_kept() -> None:
    assert shown({"question": "How many primes are below one hundred?"}, width=30) == [
        "question:",
        "  │ How many primes are below",
        "  │ one hundred?",
    ]
    assert shown({"screen": "a\tb\n\n  c   \n\n\n"}) == ["screen:", "  │ a       b", "  │", "  │   c"]


def test_pictures_are_a_note() -> None:
    png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (64).to_bytes(4, "big") * 2 + bytes(60)
    text = base64.b64encode(png).decode()
    assert shown({"plot": text, "n": 1}) == ["plot: <PNG picture, 64 x 64, 84 bytes> · n: 1"]
    assert shown({"frame": [[[1, 2, 3]] * 8] * 8}) == ["frame: <picture, 8 x 8, as an array of RGB pixels>"]


@pytest.mark.parametrize("as_sent", [bytes, lambda data: base64.b64encode(data).decode()], ids=["bytes", "base64"])
def test_content_blocks_are_notes_and_text(as_sent: Any) -> None:
    png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (640).to_bytes(4, "big") + (480).to_bytes(4, "big") + bytes(12_000)
    image = {"type": "image", "data": as_sent(png), "url": None, "mime_type": "image/png", "name": None, "alt": None}
    sound = {"type": "audio", "url": "https://a.example/b.wav", "mime_type": "audio/wav", "data": None}
    file = {"type": "file", "data": as_sent(b"%PDF-1"), "mime_type": "application/pdf", "name": "a.pdf", "alt": "terms"}
    assert shown({"content": [{"type": "text", "text": "Look:"}, image, sound, file]}, width=160) == [
        "content:",
        "  [0]: Look: · [1]: <image/png, 640x480, 12 kB> · [2]: <audio/wav at https://a.example/b.wav> · "
        "[3]: <application/pdf, 6 bytes, a.pdf, terms>",
    ]
    assert shown(image) == ["<image/png, 640x480, 12 kB>"]


def test_what_only_looks_like_a_block_is_shown_as_it_is() -> None:
    assert shown({"type": "image", "data": "no base64!", "mime_type": "image/png"}) == [
        "type: image · data: no base64! · mime_type: image/png"
    ]
    assert shown({"type": "file", "mime_type": "a/b"}) == ["type: file · mime_type: a/b"]
    assert shown({"type": "file", "url": "https://a.example", "mime_type": "a/b", "more": 1}, width=90) == [
        "type: file · url: https://a.example · mime_type: a/b · more: 1"
    ]
    assert shown({"type": "text", "text": "a", "more": 1}) == ["type: text · text: a · more: 1"]


def test_values_beyond_json_are_shown() -> None:
    assert shown({"frame": np.zeros((84, 90, 3), np.uint8)}) == ["frame: <picture, 90 x 84, as an array of RGB pixels>"]
    assert shown({"a": np.zeros((84, 84), np.float32), "b": [np.zeros(20), b"123"]}) == [
        "a: <float32 array, 84 x 84>",
        "b:",
        "  [0]: <float64 array, 20> · [1]: <bytes, 3 bytes>",
    ]
    assert shown({"few": np.arange(3), "one": np.float32(0.5), "z": 1 + 2j}) == [
        'few: [0,1,2] · one: 0.5 · z: "(1+2j)"'
    ]
    assert shown({(1, 2): "a", "big": 2**70}) == ["(1, 2): a · big: 1180591620717411303424"]


def test_every_line_of_code_is_shown_as_it_was() -> None:
    code = "\n\nif x:\n\ty = '''\n\n[bold]'''\n  # \x1b]0;title\x07"
    assert shown({"code": code})[1:] == [
        "  │",
        "  │",
        "  │ if x:",
        "  │         y = '''",
        "  │",
        "  │ [bold]'''",
        "  │   # \\x1b]0;title\\x07",
    ]


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("a\r\nb\rc", "a\nb\\rc"),
        ("\x1b[2J\x07\x9b", "\\x1b[2J\\x07\\x9b"),
        ("\u202eabc", "\\u202eabc"),
        ("\udc80", "\\udc80"),
        ("tab\tü 界\n", "tab\tü 界\n"),
    ],
)
def test_control_characters_are_shown_not_obeyed(text: str, safe: str) -> None:
    assert printable(text) == safe
