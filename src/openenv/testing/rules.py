"""The rules an environment keeps, each with a sentence and a way to mend what breaks it."""

from __future__ import annotations

from enum import Enum

__all__ = ["Rule"]


class Rule(Enum):
    """A rule of the contract between an environment and whoever drives it.

    Attributes:
        says: What holds, in a sentence.
        mend: What to do where it does not.
    """

    R01 = (
        "The environment can be built without arguments, and its methods can be called with none but the action.",
        "give every parameter of __init__, reset and step, beside the action, a default and a name",
    )
    R02 = (
        "reset returns the declared observation type.",
        "return an instance of the O in Environment[A, O, S] from reset",
    )
    R03 = (
        "step returns the declared observation type.",
        "return an instance of the O in Environment[A, O, S] from step",
    )
    R04 = (
        "reset and step do not raise for valid actions.",
        "catch what can go wrong, or narrow the action model so that what cannot be done does not validate",
    )
    R05 = (
        "state is a State of the declared type, before the first reset and after every call.",
        "make state a @property that returns an instance of the S in Environment[A, O, S], set in __init__",
    )
    R06 = (
        "state.episode_id is the one that reset was given.",
        "let reset take episode_id and put it into the state",
    )
    R07 = (
        "state.step_count is 0 after a reset and counts every step.",
        "make a new state in reset, and add 1 to its step_count in step",
    )
    R08 = (
        "The same seed gives the same first observation, in a new environment and in a used one.",
        "draw everything random from self.rng or from a generator seeded with reset's seed, and begin anew in reset",
    )
    R09 = (
        "Seeds are used: what is random in a reset follows from its seed.",
        "draw from self.rng, which is seeded before each reset, and do not seed it with a constant",
    )
    R10 = (
        "The reward is a finite number or None.",
        "look for divisions by zero and logarithms of zero in the reward",
    )
    R11 = (
        "An observation survives the way through JSON and its model.",
        "use JSON types, models or arrays with a JSON form, and finite numbers, in the fields of the observation",
    )
    R12 = (
        "Actions can be drawn from the action's schema, and they validate.",
        "describe the fields with types and bounds that JSON Schema knows, or give actions of your own",
    )
    R13 = (
        "close can be called at any time, and twice.",
        "let close look at what is still open, and forget what it has closed",
    )
    R14 = (
        "No thread is left after close.",
        "end and join in close what was started",
    )
    R15 = (
        "Where SUPPORTS_CONCURRENT_SESSIONS is true, two environments stepped in turn behave as each does alone.",
        "keep everything that changes in self, not in the class or the module, or set it to False",
    )
    R16 = (
        "get_metadata returns an EnvironmentMetadata.",
        "return EnvironmentMetadata(name=..., description=...)",
    )
    R17 = (
        "The openenv.yaml of a packaged environment names an app that can be served, and the package's own version.",
        "put openenv.yaml beside the package's modules, with app: module:attribute and the version of pyproject.toml",
    )
    R18 = (
        "An installed package has an entry point by the name in its openenv.yaml: the client, with the same models.",
        'write it below [project.entry-points."openenv.environments"] in pyproject.toml, and install the package again',
    )
    R19 = (
        "Where deterministic is true, the same seed and actions give the same answers in another environment.",
        "draw everything random from self.rng, keep clocks and ids out of the observation, name fields that may differ "
        "in volatile, or set deterministic to False",
    )
    R20 = (
        "An environment that was restored from a snapshot answers like the one that it was taken of.",
        "let snapshot hold all that a later step depends on, the state of self.rng included, and let restore set it",
    )

    R21 = (
        "Where there is step_batch, it answers each environment as step would.",
        "let step_batch do for each environment what step does, return the observations in their order, and keep "
        "nothing between two calls but in the environments",
    )

    R22 = (
        "What a tool returns has a JSON form, and fits the tool's output schema.",
        "return what the return type of the method says, of types that JSON has, or leave the return type out",
    )

    def __init__(self, says: str, mend: str) -> None:
        self.says = says
        self.mend = mend
