"""An environment that shows every kind of value and looks whether each comes back as it went."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path, PurePath
from typing import Any
from uuid import UUID

import numpy as np

from openenv import Action, Environment, Observation, State

__all__ = ["VALUES", "Mirror"]


class Colour(Enum):
    RED = "red"


VALUES: dict[str, Any] = {
    "bytes": b"\x00\xff",
    "floats": [float("nan"), float("inf"), float("-inf"), 0.5],
    "integers": [0, -1, 2**40, 2**63 - 1, 2**64 - 1, 2**64, -(2**80)],
    "matrix": np.arange(6, dtype="<f4").reshape(2, 3),
    "instant": datetime(2026, 3, 1, 10, tzinfo=UTC),
    "instants": [datetime(2026, 3, 1, 10, 0, 0, 1, tzinfo=UTC), datetime(1, 1, 1), datetime(9999, 12, 31, tzinfo=UTC)],
    "day": date(2026, 3, 1),
    "time": time(10, 30, 0, 5),
    "span": timedelta(days=-1, seconds=86399, microseconds=5),
    "complex": complex(1, -2),
    "tuple": (1, "a", ()),
    "set": {1, 2},
    "frozenset": frozenset({"a"}),
    "map": {1: "a", (1, 2): None},
    "texts": [UUID("12345678-1234-5678-1234-567812345678"), Decimal("1.10"), Path("/a/b")],
    "escaped": {"$openenv": "bytes", "data": 1},
    "prototype": {"__proto__": {"a": [b"x"]}, "constructor": 1},
    "enum": Colour.RED,
    "scalars": [np.float32(1.5), np.int64(2**60), np.bool_(True), np.complex64(1 - 2j), np.datetime64("2026-03-01")],
    "nested": {"a": [{"b": (np.zeros((0, 2)), {"c": frozenset({b"d"})})}]},
    "dtypes": [
        np.array([1, 2, 3]).astype(code)
        for code in ("?", "i1", "<i2", ">i4", "i8", "u1", ">u2", "<u4", "u8", "<f2", ">f4", "<f8", "<g", "<c8", ">c16")
    ],
    "special arrays": [
        np.array(["añ", "", "🎲b"]),
        np.array([b"ab", b""]),
        np.array(["2026-03-01", "NaT"], dtype="<M8[ns]"),
        np.array([(1, 2.5)], dtype=[("a", "<i4"), ("b", "<f8", (1,))]),
        np.array([1, None, {"x": (1,)}], dtype=object),
        np.array(5.0),
        np.array([np.nan, -0.0, 65504, 2**-24], dtype="<f2"),
    ],
}  # fmt: skip
"""What Python may hold beside JSON. A whole float comes back as an integer and is left out."""


def _same(sent: Any, back: Any) -> bool:
    if isinstance(sent, Enum):
        return bool(sent.value == back)
    if type(sent) is not type(back) and not (isinstance(sent, PurePath) and isinstance(back, PurePath)):
        return False
    if isinstance(sent, np.ndarray):
        if sent.dtype != back.dtype or sent.shape != back.shape:
            return False
        if sent.dtype == object:
            return all(map(_same, sent.ravel(), back.ravel()))
        return bool(sent.tobytes() == back.tobytes())
    if isinstance(sent, dict):
        return sent.keys() == back.keys() and all(_same(sent[key], back[key]) for key in sent)
    if isinstance(sent, list | tuple):
        return len(sent) == len(back) and all(map(_same, sent, back))
    return bool(sent == back or (sent != sent and back != back))


class Give(Action):
    value: Any


class Gift(Observation):
    name: str = ""
    value: Any = None


class Mirror(Environment[Give, Gift, State]):
    """Shows one value after the other and looks whether it comes back as it went."""

    def reset(self) -> Gift:
        self._names, self._wrong = list(VALUES), list[str]()
        return self._show()

    def step(self, action: Give) -> Gift:
        name = self._names.pop(0)
        if not _same(VALUES[name], action.value):
            self._wrong.append(f"{name}: {VALUES[name]!r} came back as {action.value!r}")
        return self._show() if self._names else Gift(value=self._wrong, done=True)

    def _show(self) -> Gift:
        name = self._names[0]
        return Gift(name=name, value=VALUES[name], metadata={"same": VALUES[name]})

    @property
    def state(self) -> State:
        return State()
