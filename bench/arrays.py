"""Observations that are arrays: what they cost the server, and how many a client gets in a second."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench.comparing import Better
from bench.load import connected
from bench.load_v2 import Encoding, muxed
from bench.measurement import Entrant, Measurement, Prepare, Row, Sample
from bench.processes import cpu_s
from bench.servers import Server, Way, serving
from bench.sides import APPS, Sides, beside

__all__ = ["MEASUREMENTS"]

_JSON_GOAL, _BINARY_GOAL = 10, 100
_LISTS, _JSON = "_as_lists", "_in_json"  # forms of the applications


@dataclass(frozen=True)
class _Array:
    """An array that is sent.

    Attributes:
        name: Of the application that sends it.
        what: For people.
        dtype: Its type.
        size_mb: Of its raw bytes.
        few: Observations of a round as nested lists of Python.
        many: Observations of a round in any faster form.
    """

    name: str
    what: str
    dtype: str
    size_mb: float
    few: int
    many: int


_PIXELS = _Array("pixels", "84x84x4 uint8", "uint8", 84 * 84 * 4 / 1e6, 40, 1_000)
_FLOATS = _Array("floats", "1 MB float32", "float32", 4 * 512 * 512 / 1e6, 3, 100)


@contextmanager
def _served(name: str, sides: Sides, array: _Array, form: str = "") -> Iterator[Server]:
    """Where a client may choose, ours has no journal: it keeps every byte, and so would measure the disk."""
    options = ("--journal-mode", "off") if name == "ours" and not form else None
    with serving(getattr(sides, name), Way(f"arrays_app:{array.name}{form}", options, beside("numpy"))) as server:
        with connected(server.port, 1) as load:
            load.steps(20 if form == _LISTS else 300)
        yield server


def _v1(name: str, array: _Array, form: str, count: int) -> Prepare:
    """Protocol v1, load client: CPU an observation, MB a second."""

    @contextmanager
    def prepare(sides: Sides) -> Iterator[Sample]:
        with _served(name, sides, array, form) as server:

            def sample() -> list[float]:
                with connected(server.port, 1) as load:
                    load.steps(2)
                    before = cpu_s(server.pid)
                    took_s = load.steps(count)
                    return [(cpu_s(server.pid) - before) / count * 1e6, count * array.size_mb / took_s]

            yield sample

    return prepare


def _v2(array: _Array, encoding: Encoding) -> Prepare:
    """Protocol v2, load client: CPU an observation, MB a second."""

    @contextmanager
    def prepare(sides: Sides) -> Iterator[Sample]:
        with _served("ours", sides, array) as server:

            def sample() -> list[float]:
                with muxed(server.port, 1, encoding) as load:
                    load.steps(2)
                    before = cpu_s(server.pid)
                    took_s = load.steps(array.many)
                    return [(cpu_s(server.pid) - before) / array.many * 1e6, array.many * array.size_mb / took_s]

            yield sample

    return prepare


def _played(name: str, array: _Array, form: str, count: int) -> Prepare:
    """The side's own synchronous client, until the array is there: MB a second."""

    @contextmanager
    def prepare(sides: Sides) -> Iterator[Sample]:
        with _served(name, sides, array, form) as server:
            program = (APPS / "play_arrays.py", server.url, str(count), array.dtype)

            def sample() -> list[float]:
                took_s = float(getattr(sides, name).run(*program, extras=beside("numpy")))
                return [count * array.size_mb / took_s]

            yield sample

    return prepare


def _rows(array: _Array, suffix: str, form: str, goal: float | None) -> tuple[Row, ...]:
    what = f"{array.what}, {form}"
    return (
        Row(f"{array.name}_{suffix}", f"{what}: server CPU", "µs", goal=goal),
        Row(f"{array.name}_{suffix}_rate", f"{what}: load client", "MB/s", Better.MORE, goal=goal),
    )


def _own_row(array: _Array, suffix: str, form: str, goal: float) -> Row:
    return Row(f"{array.name}_own{suffix}", f"{array.what}, own client, {form}", "MB/s", Better.MORE, goal=goal)


def _measurements(array: _Array) -> tuple[Measurement, ...]:
    return (
        Measurement(
            _v1("peer", array, _LISTS, array.few),
            (
                Entrant(_rows(array, "lists", "lists in v1", None), _v1("ours", array, _LISTS, array.few)),
                Entrant(_rows(array, "v1", "array in v1 (JSON)", _JSON_GOAL), _v1("ours", array, "", array.few * 5)),
                Entrant(_rows(array, "json", "array in v2 JSON", _JSON_GOAL), _v2(array, "json")),
                Entrant(_rows(array, "msgpack", "array in v2 msgpack", _BINARY_GOAL), _v2(array, "msgpack")),
            ),
        ),
        Measurement(
            _played("peer", array, _LISTS, array.few),
            (
                Entrant((_own_row(array, "", "msgpack", _BINARY_GOAL),), _played("ours", array, "", array.many)),
                Entrant(
                    (_own_row(array, "_json", "JSON", _JSON_GOAL),), _played("ours", array, _JSON, array.many // 2)
                ),
            ),
        ),
    )


MEASUREMENTS = (*_measurements(_PIXELS), *_measurements(_FLOATS))
