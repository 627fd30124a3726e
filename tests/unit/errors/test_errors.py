"""The one error tree: its table, its drawing, and how its members travel."""

from __future__ import annotations

import copy
import pickle

import pytest

from openenv import errors
from openenv.errors import ERRORS, OpenEnvError, error_from_code

CLASSES = sorted(ERRORS.values(), key=lambda cls: cls.__name__)
V1_CODES = {
    "INVALID_JSON",
    "UNKNOWN_TYPE",
    "VALIDATION_ERROR",
    "EXECUTION_ERROR",
    "CAPACITY_REACHED",
    "FACTORY_ERROR",
    "SESSION_ERROR",
}
BUILTIN_BASES = {
    "AccessDenied": PermissionError,
    "StepTimeout": TimeoutError,
    "ConfigurationError": ValueError,
    "EnvironmentNotFound": LookupError,
    "MissingExtra": ImportError,
    "PortInUse": OSError,
    "ProtocolError": ValueError,
    "SessionError": RuntimeError,
    "SessionNotFound": LookupError,
    "EpisodeLost": ConnectionError,
    "EnvironmentFailure": RuntimeError,
    "ActionInvalid": ValueError,
    "TransportError": ConnectionError,
    "RequestTimeout": TimeoutError,
    "RuntimeFailure": RuntimeError,
    "RecordError": OSError,
}

each_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)


def drawn_tree(text: str) -> dict[str, str]:
    """Child to parent, as the lines of a tree drawing say by their indentation."""
    parents: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    for line in text.splitlines():
        head, branch, rest = line.partition("─ ")
        if not branch and line.strip() != "OpenEnvError":
            continue
        column, name = (len(head), rest.split()[0]) if branch else (0, line.strip())
        while path and path[-1][0] >= column:
            path.pop()
        if path:
            parents[name] = path[-1][1]
        path.append((column, name))
    return parents


def test_the_drawing_in_the_docstring_is_the_tree() -> None:
    real = {cls.__name__: cls.__bases__[0].__name__ for cls in CLASSES if cls is not OpenEnvError}
    assert drawn_tree(errors.__doc__ or "") == real


def test_a_drawing_with_a_branch_moved_is_another_tree() -> None:
    assert drawn_tree("OpenEnvError\n├── A   one\n│   └── B\n└── C") == {
        "A": "OpenEnvError",
        "B": "A",
        "C": "OpenEnvError",
    }


def test_every_class_is_exported_and_in_the_table_under_its_own_code() -> None:
    classes = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, OpenEnvError)}
    assert classes == set(CLASSES)
    assert {cls.__name__ for cls in classes} <= set(errors.__all__)
    assert {code: cls.code for code, cls in ERRORS.items()} == {code: code for code in ERRORS}


@each_class
def test_a_row_of_the_table(cls: type[OpenEnvError]) -> None:
    assert "code" in vars(cls), "a class without a code of its own would be read as its parent"
    assert cls.code == cls.code.upper()
    assert cls.v1_code in V1_CODES
    assert cls.http_status in {400, 401, 403, 404, 409, 410, 413, 422, 429, 500, 502, 503, 504}
    assert -32768 <= cls.jsonrpc_code <= -32000
    assert isinstance(cls.retryable, bool)
    assert cls.__doc__


def test_what_may_be_tried_again() -> None:
    assert {cls.__name__ for cls in CLASSES if cls.retryable} == {
        "CapacityReached",
        "ServerDraining",
        "SessionBusy",
        "TransportError",
        "ConnectFailed",
        "ConnectionLost",
        "RequestTimeout",
    }


def test_builtin_bases_are_those_that_older_code_catches() -> None:
    own = {
        cls.__name__: next(base for base in cls.__bases__ if not issubclass(base, OpenEnvError))
        for cls in CLASSES
        if any(not issubclass(base, OpenEnvError) for base in cls.__bases__) and cls is not OpenEnvError
    }
    assert own == BUILTIN_BASES


@each_class
def test_message_and_details(cls: type[OpenEnvError]) -> None:
    details = {"field": [1]}
    error = cls("what happened", details=details)
    assert (str(error), error.message, error.args, error.details) == (
        "what happened",
        "what happened",
        ("what happened",),
        {"field": [1]},
    )
    error.details["more"] = 1
    assert details == {"field": [1]}, "the caller's own dict must stay as it is"
    assert (str(cls()), cls().details) == ("", {})


@each_class
def test_travels_by_pickle_and_copy(cls: type[OpenEnvError]) -> None:
    error = cls("gone", details={"reason": "gave_way"})
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(twin) is cls
        assert (str(twin), twin.details) == ("gone", {"reason": "gave_way"})


@each_class
def test_a_code_becomes_the_class_that_was_raised(cls: type[OpenEnvError]) -> None:
    error = error_from_code(cls.code, "told", {"a": 1})
    assert type(error) is cls
    assert (error.message, error.details) == ("told", {"a": 1})


def test_an_unknown_code_stays_readable() -> None:
    error = error_from_code("OUT_OF_TIME", "too slow", {"timeout_s": 1})
    assert type(error) is OpenEnvError
    assert (str(error), error.details) == ("OUT_OF_TIME: too slow", {"timeout_s": 1})
    assert error_from_code("OUT_OF_TIME", "too slow").details == {}
