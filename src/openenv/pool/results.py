"""What the sessions of a pool answered, one by one and side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Generic

from openenv.errors import EpisodeLost, OpenEnvError
from openenv.pool.stacking import numbers, stacked
from openenv.types import ObsT, StepResult

__all__ = ["PoolResult", "ResetResult", "VectorResult"]


class PoolResult(Generic[ObsT]):
    """The answers of some sessions, each at the position its index was asked at.

    Where numpy is installed, what is side by side are arrays whose first axis is the position; else lists. They are
    made when first read.

    Attributes:
        indices: Which session each position is.
        results: What each answered; ``None`` where it failed.
        errors: Why it failed; ``None`` where it did not. With autoreset ``same_step``, a session whose episode was lost
            has both: the error, and the first result of its next episode.
    """

    def __init__(
        self,
        indices: Sequence[int],
        results: Sequence[StepResult[ObsT] | None],
        errors: Sequence[OpenEnvError | None],
    ) -> None:
        self.indices, self.results, self.errors = list(indices), list(results), list(errors)

    @cached_property
    def observations(self) -> Any:
        """The observations: an array where all are numbers or arrays of one shape; a dict of those, by field, for
        dicts and models; a list otherwise. Where a session failed, zeros in an array and ``None`` in a list."""
        present = [result is not None for result in self.results]
        return stacked([None if result is None else result.observation for result in self.results], present)

    @cached_property
    def infos(self) -> dict[str, Any]:
        """The metadata by name, as Gymnasium's vector environments have it: for each name the values, and under
        ``_name`` where there is one. Failures are under ``error``."""
        found: dict[str, dict[int, Any]] = {}
        for position, result in enumerate(self.results):
            for name, value in () if result is None else result.metadata.items():
                found.setdefault(name, {})[position] = value
        if self.failed:
            found["error"] = {at: error for at, error in enumerate(self.errors) if error is not None}
        infos: dict[str, Any] = {}
        for name, values in found.items():
            present = [position in values for position in range(len(self.results))]
            side_by_side = [values.get(position) for position in range(len(self.results))]
            is_plain = all(isinstance(value, bool | int | float) for value in values.values())
            infos[name] = stacked(side_by_side, present) if is_plain else side_by_side
            infos[f"_{name}"] = numbers(present, bool)
        return infos

    @cached_property
    def failed(self) -> list[int]:
        """Indices of the sessions that failed."""
        return [index for index, error in zip(self.indices, self.errors, strict=True) if error is not None]

    def raise_errors(self) -> None:
        """Raise the first error, if there is one; its details name all of them under ``failed``."""
        told = [(index, error) for index, error in zip(self.indices, self.errors, strict=True) if error is not None]
        if not told:
            return
        index, first = told[0]
        message = f"session {index} of the pool: {first.message}"
        if len(told) > 1:
            message = f"{len(told)} of {len(self.indices)} sessions failed; {message}"
        failed = [{"index": one, "code": error.code, "message": error.message} for one, error in told]
        raise type(first)(message, details={**first.details, "failed": failed}) from first


class ResetResult(PoolResult[ObsT]):
    """What resets answered. Unpacks into ``observations, infos``."""

    def __iter__(self) -> Iterator[Any]:
        return iter((self.observations, self.infos))


class VectorResult(PoolResult[ObsT]):
    """What steps answered. Unpacks into ``observations, rewards, terminated, truncated, infos``."""

    def __iter__(self) -> Iterator[Any]:
        return iter((self.observations, self.rewards, self.terminated, self.truncated, self.infos))

    @cached_property
    def rewards(self) -> Any:
        """The rewards as float64; 0 where none was given and where a session failed, as ``results`` tells."""
        return numbers(
            [0.0 if result is None or result.reward is None else float(result.reward) for result in self.results],
            float,
        )

    @cached_property
    def terminated(self) -> Any:
        """Which episodes came to their own end."""
        return numbers([result is not None and result.terminated for result in self.results], bool)

    @cached_property
    def truncated(self) -> Any:
        """Which episodes were cut from outside; those that were lost are."""
        return numbers(
            [
                isinstance(error, EpisodeLost) or (result is not None and result.truncated)
                for result, error in zip(self.results, self.errors, strict=True)
            ],
            bool,
        )

    @cached_property
    def dones(self) -> Any:
        """Which episodes are over, one way or the other."""
        return numbers(
            [
                isinstance(error, EpisodeLost) or (result is not None and result.done)
                for result, error in zip(self.results, self.errors, strict=True)
            ],
            bool,
        )
