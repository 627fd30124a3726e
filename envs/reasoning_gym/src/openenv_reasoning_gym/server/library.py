"""reasoning-gym itself: its datasets by name, with what keeps their questions the same in every process."""

from __future__ import annotations

import importlib
import random
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from typing import Any, Protocol

from openenv import MissingExtra

__all__ = ["COMPOSITE", "CONFIGS", "Dataset", "Entry", "generate", "make_dataset"]

Entry = dict[str, Any]
"""A task: ``question``; ``answer``, which may be None; ``metadata``, which tells the solution."""

COMPOSITE = "composite"
"""Name of the dataset that mixes others."""


class Dataset(Protocol):
    """What is used of a dataset of reasoning-gym."""

    def __getitem__(self, index: int) -> Entry: ...

    def score_answer(self, answer: str, entry: Entry) -> float: ...


def _load() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # old code in what it requires
            importlib.import_module("reasoning_gym")
            return importlib.import_module("reasoning_gym.factory")
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"serving reasoning_gym needs {error.name}; install it with: pip install 'openenv-reasoning-gym[server]'"
        ) from error


_factory = _load()
_globals = threading.Lock()

CONFIGS: Mapping[str, type[Any]] = {name: config for name, (_, config) in sorted(_factory.DATASETS.items())}
"""The dataclass of options of every dataset, by the dataset's name."""


def make_dataset(name: str, options: Mapping[str, Any]) -> Dataset:
    """A dataset.

    Raises:
        Exception: Whatever reasoning-gym raises at options that it does not take.
    """
    made: Dataset = _factory.create_dataset(name, **options)
    for one in (made, *getattr(made, "datasets", {}).values()):
        _order(one)
    return made


def generate(dataset: Dataset, index: int, seed: int) -> Entry:
    """The task with this index.

    A few datasets draw from the random numbers of the whole process. These are seeded for the time of the call, and one
    call runs at a time. What a dataset prints goes to stderr, out of the way of a program that serves it.
    """
    with _globals, redirect_stdout(sys.stderr):
        before = random.getstate()
        random.seed(seed)
        try:
            return dataset[index]
        finally:
            random.setstate(before)


def _order(dataset: Any) -> None:
    """Let a dataset draw from sorted sets: the order of a set's texts or symbols changes from process to process."""
    if isinstance(getattr(dataset, "letters", None), set):
        dataset.letters = _Sorted(dataset.letters)
    monomials = getattr(dataset, "_get_monomials", None)  # there is no public way to these
    if monomials is not None:
        dataset._get_monomials = lambda rng: sorted(monomials(rng), key=str)


class _Sorted(set[str]):
    """A set that is iterated in sorted order, as is what remains if others are taken out."""

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(super().__iter__()))

    def __sub__(self, other: Any) -> _Sorted:
        return _Sorted(super().__sub__(other))
