"""A scripted agent that works out its answers from the text of the question alone, for three kinds of questions.

Arithmetic (``basic_arithmetic``, ``chain_sum``) and the sorting of numbers (``number_sorting``) it solves. Stories
with numbers in them (``gsm_symbolic``) it does not understand: it adds up all their numbers, which is seldom right.
Where it is not sure, it says so in the metadata of its action.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

__all__ = ["solve"]

_ARITHMETIC = re.compile(r"(?:Calculate|arithmetic problem:)\s*([-+*/() 0-9]+?)\s*(?:\.|=)\s*$")
_SORTING = re.compile(r"Sort these numbers in (ascending|descending) order: ([^\n]+)")
_NUMBER = re.compile(r"\d+(?:,\d{3})*")
_STORY = re.compile(r"\b(?:how (?:many|much)|what)\b[^?]*\?", re.IGNORECASE)


def solve(observation: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to a question, as an agent for the rollout runner.

    Args:
        observation: Fields of a ``ReasoningGymObservation``, of which only ``question`` is read.

    Returns:
        An action: ``answer``, empty where the kind of question is unknown, and in ``metadata`` whether it is ``sure``.
    """
    question = str(observation["question"])
    if found := _ARITHMETIC.search(question):
        return _action(str(_value(ast.parse(found[1], mode="eval").body)), sure=True)
    if found := _SORTING.search(question):
        in_order = sorted(found[2].split(", "), key=Decimal, reverse=found[1] == "descending")
        return _action(str(in_order), sure=True)
    numbers = [int(number.replace(",", "")) for number in _NUMBER.findall(question)]
    if numbers and _STORY.search(question):
        return _action(str(sum(numbers)), sure=False)
    return _action("", sure=False)


def _action(answer: str, *, sure: bool) -> dict[str, Any]:
    return {"answer": answer, "metadata": {"sure": sure}}


def _value(node: ast.expr) -> int:
    """The value of whole numbers with + - * / and brackets, where divisions come out even."""
    match node:
        case ast.Constant(value=int() as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.BinOp(left=left, op=op, right=right):
            one, other = _value(left), _value(right)
            match op:
                case ast.Add():
                    return one + other
                case ast.Sub():
                    return one - other
                case ast.Mult():
                    return one * other
                case ast.Div():
                    return one // other
    raise ValueError(f"no arithmetic on whole numbers: {ast.unparse(node)}")
