"""The words everyone uses: what an agent sends, what it gets back, and what an environment says of itself."""

from openenv.types.models import Action, EnvironmentMetadata, Observation, State
from openenv.types.result import ActT, ObsT, StateT, StepResult

__all__ = ["ActT", "Action", "EnvironmentMetadata", "ObsT", "Observation", "State", "StateT", "StepResult"]
