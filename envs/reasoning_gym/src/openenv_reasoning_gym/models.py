"""What an agent answers, is asked, and which task it is asked."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from openenv import Action, Observation, State

__all__ = ["MOST_CHARACTERS", "ReasoningGymAction", "ReasoningGymObservation", "ReasoningGymState", "Split"]

Split = Literal["train", "test"]

MOST_CHARACTERS = 32_768
"""Length of the longest answer that is taken."""


class ReasoningGymAction(Action):
    """One answer.

    Attributes:
        answer: The answer alone, in the form that the question asks for; at most 32768 characters.
    """

    answer: str = Field(max_length=MOST_CHARACTERS, description="The answer alone, as the question asks for it.")


class ReasoningGymObservation(Observation):
    """A question, and what came of the last answer to it.

    Attributes:
        question: Text of the question, instructions on the form of the answer included.
        dataset: Name of the dataset that the question comes from.
        index: Number of the task, from 0.
        feedback: In episodes of several turns the score of the last answer and the turns left, after it was given;
            else ``None``. It never holds the solution.
    """

    question: str = Field(description="The question, with instructions on the form of the answer.")
    dataset: str = Field(description="Name of the dataset that the question comes from.")
    index: int = Field(ge=0, description="Number of the task.")
    feedback: str | None = Field(default=None, description="What came of the last answer, if another may follow.")


class ReasoningGymState(State):
    """Where the episode stands, and which tasks there are to choose from.

    Attributes:
        dataset: Name of the dataset that the question comes from.
        split: ``train`` or ``test``.
        index: Number of the task, from 0.
        tasks: How many there are; each has an index below this.
        max_turns: Answers an episode may take, 1 or more.
    """

    dataset: str = Field(description="Name of the dataset that the question comes from.")
    split: Split = Field(default="train", description="Which tasks: train or test.")
    index: int = Field(default=0, ge=0, description="Number of the task.")
    tasks: int = Field(ge=1, description="How many tasks there are to choose from.")
    max_turns: int = Field(default=1, ge=1, description="Answers an episode may take.")
