"""Which task is meant: from a dataset's name, options, split, seed and index to one question."""

from __future__ import annotations

import difflib
import json
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from pydantic import TypeAdapter, ValidationError

from openenv_reasoning_gym.models import Split
from openenv_reasoning_gym.server.library import COMPOSITE, CONFIGS, Dataset, Entry, generate, make_dataset

__all__ = ["MOST_TASKS", "Refused", "Selection", "Task", "dataset_seed"]

MOST_TASKS = 2**20
"""The largest size of a dataset."""

_HALF = 2**31
_ROOM = 2 * MOST_TASKS  # for the seeds of the tasks, which follow the dataset's
_OWN = {"seed", "size"}  # options of every dataset that are chosen beside the others


class Refused(ValueError):
    """A choice that cannot be made.

    Attributes:
        where: The option, and what in it.
        message: What is wrong with it, and what would be right.
    """

    def __init__(self, where: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.where = where
        self.message = message


@dataclass(frozen=True)
class Task:
    """One question with its scorer.

    Attributes:
        source: Name of the dataset that asks; of the one it was drawn from, where several are mixed.
        entry: Question and solution.
        dataset: Scores answers.
    """

    source: str
    entry: Entry
    dataset: Dataset


@dataclass(frozen=True)
class Selection:
    """The tasks that an index chooses from. Make one with ``Selection.of``.

    Attributes:
        names: The datasets, in the order in which the indices go round them.
        config: Options of the one dataset as JSON; empty for its defaults.
        split: ``train`` or ``test``.
        size: Tasks of each dataset.
    """

    names: tuple[str, ...]
    config: str
    split: Split
    size: int

    @staticmethod
    def of(dataset: object, config: object, split: object, size: object) -> Selection:
        """The selection that these values describe; none of them need be of the right type.

        Raises:
            Refused: One of them is wrong.
        """
        names = (dataset,) if isinstance(dataset, str) else tuple(dataset) if isinstance(dataset, list | tuple) else ()
        if not names:
            raise Refused(("dataset",), f"dataset must be a name or a list of names, not {dataset!r}")
        checked = tuple(_dataset_name(name) for name in names)
        if split not in typing.get_args(Split):
            raise Refused(("split",), f"split must be 'train' or 'test', not {split!r}")
        whole = whole_number("size", size, 1, MOST_TASKS)
        if config is None:
            config = {}
        if not isinstance(config, Mapping):
            raise Refused(("config",), f"config must map options of the dataset to values, not {config!r}")
        if config and len(checked) > 1:
            raise Refused(
                ("config",), f"config is for one dataset, not {len(checked)}; to mix some with options: {COMPOSITE}"
            )
        for name in checked:
            _options(name, config)
        return Selection(checked, json.dumps(dict(config), sort_keys=True, default=str), split, whole)  # type: ignore[arg-type]

    @property
    def tasks(self) -> int:
        """How many tasks there are."""
        return self.size * len(self.names)

    def place(self, index: int) -> tuple[str, int]:
        """The dataset that the task with this index is of, and the task's index there."""
        position, which = divmod(index, len(self.names))
        return self.names[which], position

    def make(self, name: str, seed: int) -> Dataset:
        """One of the datasets.

        Raises:
            Refused: It does not take its options.
        """
        options = _options(name, json.loads(self.config))
        try:
            return make_dataset(name, options | {"seed": dataset_seed(self.split, seed), "size": self.size})
        except Exception as error:  # the datasets raise anything at options they do not like
            if not options:
                raise
            raise Refused(("config",), f"{name} refuses these options: {_said(error)}") from error

    def task(self, dataset: Dataset, name: str, position: int, seed: int) -> Task:
        """One of the tasks of a dataset.

        Raises:
            Refused: The options of the dataset make this one impossible.
        """
        try:
            entry = generate(dataset, position, dataset_seed(self.split, seed) + position)
        except Exception as error:  # options that are each allowed may together be impossible
            if self.config == "{}":
                raise
            raise Refused(("config",), f"{name} can make no question with these options: {_said(error)}") from error
        return Task(str(entry["metadata"].get("source_dataset", name)), entry, dataset)


def dataset_seed(split: Split, seed: int) -> int:
    """Seed of the datasets of a split: blake2b("openenv reasoning_gym/{split}/{seed}"), 8 bytes, big end first, modulo
    2**31 - 2**21, and for ``test`` 2**31 more.

    Datasets seed the task with index i with this number plus i, and i is below 2**20. So whatever the seeds, no task of
    one split has the seed of a task of the other.
    """
    digest = blake2b(f"openenv reasoning_gym/{split}/{seed}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % (_HALF - _ROOM) + (_HALF if split == "test" else 0)


def whole_number(name: str, value: object, least: int, most: int) -> int:
    """The value, if it is a whole number in this range.

    Raises:
        Refused: It is none.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise Refused((name,), f"{name} must be a whole number from {least} to {most}, not {value!r}")
    return value


def _dataset_name(name: object) -> str:
    if not isinstance(name, str) or name not in CONFIGS:
        raise Refused(
            ("dataset",), f"reasoning-gym has no dataset {name!r}; {_nearest(str(name), CONFIGS)}; all are in /metadata"
        )
    return name


def _options(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Options as the dataset takes them, checked one by one."""
    hints = typing.get_type_hints(CONFIGS[name])
    values = {}
    for key, value in config.items():
        where = ("config", key)
        if key in _OWN:
            raise Refused(where, f"{key} is no option of config; give it to reset itself")
        if key not in hints:
            raise Refused(where, f"{name} has no option {key!r}; {_nearest(key, set(hints) - _OWN)}")
        try:
            # as JSON, in which lists stand for tuples and texts for dates and enums, but "5" is no 5
            text = json.dumps(value, default=str)
            values[key] = TypeAdapter(hints[key]).validate_json(text, strict=True)
        except ValidationError as error:
            first = error.errors()[0]
            raise Refused((*where, *first["loc"]), f"{key} of {name} is wrong: {first['msg']}") from None
    if name == COMPOSITE:
        _check_mixed(values)
    return values


def _check_mixed(values: dict[str, Any]) -> None:
    specs = values.get("datasets")
    if not specs:
        raise Refused(
            ("config", "datasets"),
            f"{COMPOSITE} mixes datasets; say which in config: "
            '{"datasets": [{"name": "chain_sum", "weight": 1, "config": {}}]}',
        )
    for spec in specs:
        if _dataset_name(spec.name) == COMPOSITE:
            raise Refused(("config", "datasets"), f"{COMPOSITE} cannot be mixed into itself")
        spec.config = _options(spec.name, spec.config)


def _nearest(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = difflib.get_close_matches(name, names, 1, cutoff=0.5)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"it has {', '.join(names)}" if len(names) < 30 else f"there are {len(names)}, such as {names[0]!r}"


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
