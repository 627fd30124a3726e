"""Answers are scored as the datasets score them, but never run."""

from __future__ import annotations

import re
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

from openenv_reasoning_gym.server.library import CONFIGS
from openenv_reasoning_gym.server.scoring import FORMULAS, LITERALS, score
from openenv_reasoning_gym.server.tasks import Selection, Task

SCORER = re.compile(r"\n    def score_answer\(.*?(?=\n    def |\n\S|\Z)", re.DOTALL)
EVALUATED = sorted(FORMULAS | LITERALS)


def task(name: str, index: int = 0, seed: int = 1) -> Task:
    selection = Selection.of(name, None, "train", 500)
    return selection.task(selection.make(name, seed), name, index, seed)


@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "composite"])
def test_the_datasets_own_answer_is_right_and_nonsense_is_not(name: str) -> None:
    for index in (0, 3):
        asked = task(name, index)
        if asked.entry["answer"] is not None:  # some have many, and tell none
            assert score(asked, asked.entry["answer"]).is_right
        if name != "game_of_life_halting":  # whose scorer takes anything but True for False
            assert 0 <= score(asked, "xyzzy (").value <= 0.1


@pytest.mark.parametrize("name", EVALUATED)
@pytest.mark.parametrize(
    "code",
    [
        "__import__('pathlib').Path({path!r}).touch()",
        "open({path!r}, 'w')",
        "[*map(lambda p: open(p, 'w'), [{path!r}])]",
        "(1).__class__.__base__.__subclasses__() and open({path!r}, 'w')",
        "  open({path!r}, 'w')",
        "exec(bytes({numbers!r}))",
    ],
)
def test_an_answer_is_not_run(name: str, code: str, tmp_path: Path) -> None:
    path = tmp_path / "touched"
    text = code.format(path=str(path), numbers=list(f"open({str(path)!r}, 'w')".encode()))
    assert score(task(name), text).value == 0.0
    assert not path.exists()


@pytest.mark.parametrize("name", EVALUATED)
def test_without_the_guard_an_answer_would_be_run(name: str, tmp_path: Path) -> None:
    asked, path = task(name), tmp_path / "touched"
    with suppress(Exception):  # what comes of it does not matter here
        asked.dataset.score_answer(f"open({str(path)!r}, 'w').close()", asked.entry)
    assert path.exists(), "the scorer evaluates no answers any more: take it off the list"


def test_no_other_scorer_evaluates_answers() -> None:
    spec = find_spec("reasoning_gym")
    assert spec is not None
    assert spec.submodule_search_locations
    found = set()
    for path in Path(spec.submodule_search_locations[0]).rglob("*.py"):
        scorers = re.findall(
            r"\n    def score_answer\(.*?(?=\n    def |\n\S|\Z)", path.read_text("utf-8"), flags=re.DOTALL
        )
        if any(re.search(r"\b(?:eval|exec|parse_expr|sympify)\(\s*answer", one) for one in scorers):
            found.add(path.stem)
    assert found == set(EVALUATED)


@pytest.mark.parametrize("name", ["oracle_answer", 'entry["answer"]', "[*oracle_answer]"])
def test_the_scorers_variables_cannot_be_named(name: str) -> None:
    asked = task("string_insertion")
    assert asked.dataset.score_answer(name, asked.entry) > 0  # so it would be worth the try
    assert score(asked, name).value == 0.0


@pytest.mark.parametrize("name", sorted(FORMULAS))
@pytest.mark.parametrize(
    "endless",
    [
        "9**9**9**9",
        "((9**99)**99)**99",
        "2**(10**9)",
        "(x + 1)**(10**9)",
        "x**(9**9**9*y)",
        "1e999",
        "9" * 5000,
        "+".join(["x"] * 5000),
        "(" * 300 + "1" + ")" * 300,
        "exp(exp(exp(9)))**99999999",
        "factorial(10**9)",
    ],
    ids=lambda text: text[:20],
)
def test_an_answer_that_is_too_large_is_not_worked_out(name: str, endless: str) -> None:
    assert score(task(name), endless).value == 0.0


def test_a_literal_that_is_too_deep() -> None:
    assert score(task("n_queens"), "[" * 20_000).value == 0.0
    assert score(task("n_queens"), "-" * 20_000 + "1").value == 0.0
    assert score(task("n_queens"), "\0").value == 0.0


def test_literals_and_formulas_reach_the_scorer() -> None:
    queens = task("n_queens")
    board = [row.split() for row in str(queens.entry["answer"]).splitlines()]
    assert score(queens, str(board)).value == 0.5
    inserted = task("string_insertion")
    assert score(inserted, str(list(inserted.entry["answer"]))).value == 0.1
    selection = Selection.of("puzzle24", None, "train", 500)
    dataset = selection.make("puzzle24", 1)
    for index in range(30):
        asked = selection.task(dataset, "puzzle24", index, 1)
        assert score(asked, f" ({asked.entry['answer']}) * 1 ** 2").value < 1  # a number too many
        assert score(asked, f"+({asked.entry['answer']})").is_right


@pytest.mark.parametrize("name", sorted(FORMULAS - {"intermediate_integration"}))
def test_the_formulas_of_a_dataset_are_all_taken(name: str) -> None:
    selection = Selection.of(name, None, "train", 500)
    dataset = selection.make(name, 1)
    for index in range(25):
        asked = selection.task(dataset, name, index, 1)
        assert score(asked, f" {asked.entry['answer']}").is_right  # not the same text


def test_a_scorer_that_fails_at_an_answer() -> None:
    asked = task("prime_factorization")
    with pytest.raises(ValueError, match="invalid literal"):
        asked.dataset.score_answer("xyz", asked.entry)
    scored = score(asked, "xyz")
    assert (scored.value, scored.is_right) == (0.0, False)
    assert "could not be read" in scored.note
