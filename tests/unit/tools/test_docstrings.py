"""Docstrings of three styles: what is said of arguments, and the rest."""

from __future__ import annotations

import inspect

import pytest

from openenv.tools.docstrings import read_docstring
from openenv.tools.signature import Signature

TOLD = {"number": "How many, over two lines.", "colour": "Which."}

GOOGLE = """Does it.

It does it well.

Args:
    number: How many,
        over two lines.
    colour (Colour, optional): Which.

Returns:
    What came of it.
"""
NUMPY = """Does it.

It does it well.

Parameters
----------
number : int
    How many,
    over two lines.

colour : {'red', 'blue'}, optional
    Which.

Returns
-------
str
    What came of it.
"""
SPHINX = """Does it.

It does it well.

:param number: How many,
    over two lines.
:type number: int
:param Colour | dict[str, int] colour: Which.
:returns: What came of it.
"""


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        (GOOGLE, "Returns:\n    What came of it."),
        (NUMPY, "Returns\n-------\nstr\n    What came of it."),
        (SPHINX, ":returns: What came of it."),
    ],
    ids=["google", "numpy", "sphinx"],
)
def test_each_style_tells_of_arguments_and_leaves_the_rest(text: str, rest: str) -> None:
    assert read_docstring(text) == (f"Does it.\n\nIt does it well.\n\n{rest}", TOLD)


@pytest.mark.parametrize(
    "text",
    [
        "Does it.\n\nArgs:\n    a: One.\n\nMore of it.",
        "Does it.\n\nParameters\n----------\na\n    One.\n\nMore of it.",
        "Does it.\n\n:param a: One.\n\nMore of it.",
        "Does it.\n:param a: One.\n\nMore of it.",
    ],
    ids=["google", "numpy", "sphinx", "sphinx right below"],
)
def test_what_comes_after_the_arguments_is_none_of_theirs(text: str) -> None:
    assert read_docstring(text) == ("Does it.\n\nMore of it.", {"a": "One."})


@pytest.mark.parametrize(
    "text",
    [
        "Args:\n    *rest: Others.\n    a: One.\n        Note: two.",
        "Parameters\n----------\n*rest\n    Others.\na: int\n    One.\n    Note: two.",
        ":param \\*rest: Others.\n:param a: One.\n  Note: two.",
    ],
    ids=["google", "numpy", "sphinx"],
)
def test_stars_and_colons(text: str) -> None:
    assert read_docstring(text) == ("", {"rest": "Others.", "a": "One. Note: two."})


def test_numpy_tells_of_several_at_once_and_of_other_parameters() -> None:
    text = "Adds.\n\nParameters\n----------\na, b : int\n    A number.\n\n"
    text += "Other Parameters\n----------------\nc\n    One more."
    assert read_docstring(text) == ("Adds.", {"a": "A number.", "b": "A number.", "c": "One more."})


@pytest.mark.parametrize(
    "text", ["Args:\n    a:\n    b: Two.", "Parameters\n---\na : int\nb : int\n    Two.", ":param a:\n:param b: Two."]
)
def test_who_is_named_only_has_no_description(text: str) -> None:
    assert read_docstring(text) == ("", {"b": "Two."})


@pytest.mark.parametrize(
    "text",
    ["", "Does it.", "See:\n    there", "Title\n-----\nParameters are none.", "A :param that is none", "a : b\n    c"],
)
def test_what_tells_of_no_arguments_stays(text: str) -> None:
    assert read_docstring(text) == (text, {})


def numpy(number: int, colour: str = "red") -> None:
    """Paint.

    Parameters
    ----------
    number : int
        How many.
    colour : str, optional
        Which.
    """


def sphinx(number: int, colour: str = "red") -> None:
    """
    Paint.

    :param int number: How many.
    :param colour: Which.
    """


@pytest.mark.parametrize("function", [numpy, sphinx])
def test_they_become_the_schema(function: object) -> None:
    assert inspect.isfunction(function)
    found = Signature.of(function)
    assert found.description == "Paint."
    told = {name: one["description"] for name, one in found.input_schema["properties"].items()}
    assert told == {"number": "How many.", "colour": "Which."}
