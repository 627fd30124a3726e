"""Scores answers with the dataset's own scorer, and keeps from it the answers that it would run as code.

Some scorers of reasoning-gym give the answer to Python's ``eval`` or to sympy's parser, which does the same. An answer
could then do on the server whatever it likes, or name the variable that holds the solution. Here such scorers are given
an answer only if nothing in it can do anything: a Python literal, or a formula of numbers, symbols and elementary
functions that is not too large to work out. Any other answer to these datasets scores 0.
"""

from __future__ import annotations

import ast
import math
import re
from dataclasses import dataclass
from fractions import Fraction

from openenv_reasoning_gym.server.tasks import Task

__all__ = ["FORMULAS", "LITERALS", "Score", "score"]

LITERALS = frozenset({"binary_matrix", "n_queens", "spiral_matrix", "string_insertion"})
"""Datasets whose scorer evaluates the answer as Python."""

FORMULAS = frozenset(
    {"countdown", "intermediate_integration", "polynomial_multiplication", "puzzle24", "simple_integration"}
)
"""Datasets whose scorer has sympy evaluate the answer."""

_NUMBERS_ONLY = frozenset({"countdown", "puzzle24"})  # of these; the others take symbols and functions too
_CIRCULAR = {"sin", "cos", "tan", "cot", "sec", "csc", "asin", "acos", "atan"}
_FUNCTIONS = _CIRCULAR | {"Abs", "acosh", "asinh", "atanh", "cosh", "exp", "ln", "log", "sinh", "sqrt", "tanh"}
_SYMBOL = re.compile(r"[A-Za-z][A-Za-z0-9]{0,9}")
_MOST_BITS = 4096  # of a number that working out a formula leads to
_MOST_NODES = 1000
_MOST_EXPONENT = 100


@dataclass(frozen=True)
class Score:
    """What an answer is worth.

    Attributes:
        value: What the scorer says: 1 for right, 0 to below 1 for what is not.
        note: Why the answer could not be read, empty if it could.
    """

    value: float
    note: str = ""

    @property
    def is_right(self) -> bool:
        """Whether nothing is missing."""
        return self.value >= 1.0


def score(task: Task, answer: str) -> Score:
    """Score an answer to a task."""
    if answer != task.entry["answer"]:  # the dataset's own are harmless
        if task.source in LITERALS and not _is_harmless_literal(answer):
            # one word looks like the name of a variable, and is just wrong
            note = "" if answer.strip().isidentifier() else "The answer must be plain text or a list, not code."
            return Score(0.0, note)
        if task.source in FORMULAS and not _is_harmless_formula(answer, task.source):
            return Score(0.0, "The answer must be a formula alone, of numbers, + - * / ** and brackets.")
    try:
        return Score(float(task.dataset.score_answer(answer, task.entry)))
    except Exception:  # noqa: BLE001 - some scorers raise anything at an answer they cannot read
        return Score(0.0, "The answer could not be read; mind the form that the question asks for.")


def _is_harmless_literal(answer: str) -> bool:
    """Whether ``eval`` would find a literal, or nothing that it can evaluate at all."""
    try:
        parsed = ast.parse(answer.lstrip(" \t"), mode="eval")
    except SyntaxError:
        return True
    except (ValueError, MemoryError, RecursionError):  # it has null characters, or is too deep
        return False
    try:
        ast.literal_eval(parsed)
    except (ValueError, TypeError, MemoryError, RecursionError):
        return False
    return True


def _is_harmless_formula(answer: str, source: str) -> bool:
    try:
        parsed = ast.parse(answer.strip(), mode="eval").body
        nodes = list(ast.walk(parsed))
        if source in _NUMBERS_ONLY and any(isinstance(node, ast.Name) for node in nodes):
            return False  # they make a whole number of what it comes to, which exp(exp(9)) would take ages for
        return len(nodes) <= _MOST_NODES and _bits(parsed) <= _MOST_BITS
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False


def _bits(node: ast.expr) -> int:
    """How many bits the numbers may get that the formula leads to; at least 1.

    Raises:
        ValueError: It is no such formula.
    """
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool) and math.isfinite(value):
            return max(1, int(value).bit_length())
        case ast.Name(id=name) if _SYMBOL.fullmatch(name):
            return 1
        case ast.UnaryOp(op=ast.UAdd() | ast.USub(), operand=operand):
            return _bits(operand)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub(), right=right):
            return max(_bits(left), _bits(right)) + 1
        case ast.BinOp(left=left, op=ast.Mult() | ast.Div(), right=right):
            return _bits(left) + _bits(right)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _bits(left) * _exponent(right)
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in _FUNCTIONS:
            return _bits(argument) + 1
    raise ValueError(type(node).__name__)


def _exponent(node: ast.expr) -> int:
    """By how much raising to this power multiplies the bits; at least 1."""
    value = _number(node)
    if value is None:  # with symbols in it, nothing is worked out
        return _bits(node)
    if abs(value) > _MOST_EXPONENT:
        raise ValueError("exponent")
    return max(1, math.ceil(abs(value)))


def _number(node: ast.expr) -> Fraction | None:
    """The value of an exponent; None if symbols are in it.

    Raises:
        ValueError: It has a power or a function of numbers alone, whose value would have to be worked out.
    """
    if any(isinstance(one, ast.Name) for one in ast.walk(node)):
        return None
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool) and math.isfinite(value):
            return Fraction(value)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _number(operand)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -(_number(operand) or Fraction(0))
        case ast.BinOp(left=left, op=op, right=right) if isinstance(op, ast.Add | ast.Sub | ast.Mult | ast.Div):
            one, other = _number(left) or Fraction(0), _number(right) or Fraction(0)
            if isinstance(op, ast.Div):
                if not other:
                    raise ValueError("division by zero")
                return one / other
            return one + other if isinstance(op, ast.Add) else one - other if isinstance(op, ast.Sub) else one * other
    raise ValueError(type(node).__name__)
