"""The scripted solver answers from the text of the question, and owns up where it cannot."""

from __future__ import annotations

import subprocess
import sys

import pytest

from openenv_reasoning_gym.solver import solve


@pytest.mark.parametrize(
    ("question", "answer", "sure"),
    [
        ("Calculate ( 56 + -33 ) - 84.", "-61", True),
        ("Calculate -( 415 * 2 ) / 10 - 590 / 5.", "-201", True),
        ("State the final answer to the following arithmetic problem: 205 - 838 + 505 =", "-128", True),
        (
            "Sort these numbers in ascending order: 19.0, -26.01, 100, -5.19\nRules",
            "['-26.01', '-5.19', '19.0', '100']",
            True,
        ),
        ("Sort these numbers in descending order: 9, 10, -1\nRules", "['10', '9', '-1']", True),
        ("Ann has 1,200 apples and eats 3. How many are left? Give the result.", "1203", False),
        ("Unscramble these words: wsa", "", False),
        ("How are you?", "", False),
    ],
)
def test_answers(question: str, answer: str, sure: bool) -> None:
    assert solve({"question": question}) == {"answer": answer, "metadata": {"sure": sure}}


def test_code_in_a_question_is_not_run() -> None:
    assert solve({"question": "Calculate __import__('os').getpid()."})["answer"] == ""
    with pytest.raises(ValueError, match="no arithmetic"):
        solve({"question": "Calculate 9 ** 9 ** 9."})


def test_it_does_not_need_reasoning_gym() -> None:
    code = "import sys, openenv_reasoning_gym.solver; print(*sorted({'numpy', 'reasoning_gym'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
