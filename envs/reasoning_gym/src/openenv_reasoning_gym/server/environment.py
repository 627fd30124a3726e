"""The environment: one question of reasoning-gym an episode, and the dataset's own score as the reward."""

from __future__ import annotations

from typing import Any, Final

from openenv import ActionInvalid, ConfigurationError, Environment
from openenv.types import EnvironmentMetadata
from openenv_reasoning_gym.models import ReasoningGymAction, ReasoningGymObservation, ReasoningGymState
from openenv_reasoning_gym.server.library import CONFIGS, Dataset
from openenv_reasoning_gym.server.scoring import Score, score
from openenv_reasoning_gym.server.tasks import Refused, Selection, Task, whole_number

__all__ = ["ReasoningGymEnvironment"]

_KEPT: Final = 8  # datasets that stay ready for further tasks
_MOST_TURNS: Final = 1000


class ReasoningGymEnvironment(Environment[ReasoningGymAction, ReasoningGymObservation, ReasoningGymState]):
    """Questions whose answers can be verified: arithmetic, algebra, logic, games, graphs and more, from reasoning-gym.

    An episode is one task. Normally it takes one answer, and its reward is the score of that answer, 0 to 1, where 1
    is right. Over several turns, a wrong answer gives reward 0 and feedback, until one is right or the turns are used
    up; the last answer gives its score. The solution is never told.

    Args:
        dataset: Name of the dataset, or several, which the indices go round.
        split: ``train`` or ``test``.
        size: Tasks of each dataset, 1 to 2**20.
        max_turns: Answers an episode may take, 1 to 1000.
        config: Options of the dataset; ``None`` for its defaults.

    Raises:
        ConfigurationError: There is no such dataset, split or option, or the dataset does not take it.
    """

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(
        self,
        dataset: str | list[str] = "basic_arithmetic",
        split: str = "train",
        size: int = 500,
        max_turns: int = 1,
        config: dict[str, Any] | None = None,
    ) -> None:
        self._default_dataset, self._default_config = dataset, config
        try:
            self._default = Selection.of(dataset, config, split, size)
            self._default_turns = whole_number("max_turns", max_turns, 1, _MOST_TURNS)
            for name in self._default.names:
                self._default.make(name, seed=0)
        except Refused as refusal:
            raise ConfigurationError(refusal.message) from refusal
        self._ready: dict[tuple[Selection, str, int], Dataset] = {}
        self._task: Task | None = None
        self._state = ReasoningGymState(
            dataset=self._default.names[0],
            split=self._default.split,
            tasks=self._default.tasks,
            max_turns=self._default_turns,
        )

    def reset(
        self,
        seed: int | None = None,
        episode_id: str | None = None,
        dataset: str | list[str] | None = None,
        index: int = 0,
        split: str | None = None,
        size: int | None = None,
        config: dict[str, Any] | None = None,
        max_turns: int | None = None,
    ) -> ReasoningGymObservation:
        """Ask a question. The same seed and options ask the same one, in every process.

        Args:
            seed: Seed of all tasks; another one gives others. ``None`` for any.
            episode_id: Name of the episode.
            dataset: Name of the dataset. Of a list of n names, task i is that of dataset i modulo n with the index i
                divided by n, rounded down.
            index: Number of the task, from 0 to below ``size`` times the number of datasets.
            split: ``train`` or ``test``, whose tasks are drawn from different seeds; see ``tasks.dataset_seed``.
            size: Tasks of each dataset, 1 to 2**20.
            config: Options of the dataset, in JSON values; see reasoning-gym for what each dataset has.
            max_turns: Answers the episode may take, 1 to 1000.

        Options that are ``None`` have the value given to the constructor, where ``config`` belongs to ``dataset``.

        Raises:
            ActionInvalid: An option is wrong; nothing has changed.
        """
        if dataset is None:
            dataset, config = self._default_dataset, self._default_config if config is None else config
        try:
            chosen = Selection.of(
                dataset,
                config,
                self._default.split if split is None else split,
                self._default.size if size is None else size,
            )
            turns = self._default_turns if max_turns is None else whole_number("max_turns", max_turns, 1, _MOST_TURNS)
            index = whole_number("index", index, 0, chosen.tasks - 1)
            seed = self.reseed(None) if seed is None else seed
            task = self._made(chosen, index, seed)
        except Refused as refusal:
            raise ActionInvalid(
                refusal.message,
                details={"errors": [{"loc": list(refusal.where), "msg": refusal.message, "type": "value_error"}]},
            ) from refusal
        self._task = task
        self._state = ReasoningGymState(
            episode_id=episode_id,
            dataset=task.source,
            split=chosen.split,
            index=index,
            tasks=chosen.tasks,
            max_turns=turns,
        )
        return self._observation()

    def step(self, action: ReasoningGymAction) -> ReasoningGymObservation:
        """Score an answer. Over several turns the question stays until it is answered or the turns are used up."""
        assert self._task is not None, "the server lets no step pass before a reset"
        self._state.step_count += 1
        found = score(self._task, action.answer)
        left = self._state.max_turns - self._state.step_count
        if self._state.max_turns == 1:
            return self._observation(reward=found.value, done=True, terminated=True, truncated=False)
        over = found.is_right or left == 0
        return self._observation(
            feedback=_feedback(found, left),
            reward=found.value if over else 0.0,
            done=over,
            terminated=found.is_right,
            truncated=over and not found.is_right,
        )

    @property
    def state(self) -> ReasoningGymState:
        return self._state

    def close(self) -> None:
        self._ready.clear()
        self._task = None

    def get_metadata(self) -> EnvironmentMetadata:
        """The class's docstring, and the names of all datasets."""
        told = super().get_metadata()
        names = ", ".join(CONFIGS)
        return told.model_copy(update={"description": f"{told.description}\n\nThe {len(CONFIGS)} datasets: {names}."})

    def _made(self, chosen: Selection, index: int, seed: int) -> Task:
        name, position = chosen.place(index)
        key = (chosen, name, seed)
        dataset = self._ready.get(key)
        if dataset is None:
            dataset = chosen.make(name, seed)
            if len(self._ready) == _KEPT:
                del self._ready[next(iter(self._ready))]
            self._ready[key] = dataset
        return chosen.task(dataset, name, position, seed)

    def _observation(self, feedback: str | None = None, **outcome: Any) -> ReasoningGymObservation:
        assert self._task is not None
        return ReasoningGymObservation(
            question=self._task.entry["question"],
            dataset=self._task.source,
            index=self._state.index,
            feedback=feedback,
            **outcome,
        )


def _feedback(found: Score, left: int) -> str:
    if found.is_right:
        return "That is right."
    turns = "No turn is left." if left == 0 else "1 turn is left." if left == 1 else f"{left} turns are left."
    return " ".join(part for part in (f"That is not right: score {found.value:.3g} of 1.", found.note, turns) if part)
