"""Where worker processes find what a server serves, and how they are set up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from openenv.session.served.spec import EnvironmentSpec

if TYPE_CHECKING:
    from openenv.session.isolation.supervisor import Supervisor

__all__ = ["WorkerOptions", "WorkerSource"]


@dataclass(frozen=True)
class WorkerOptions:
    """What may be set of worker processes; see ``Supervisor``."""

    sessions_per_worker: int = 1
    memory_bytes: int | None = None
    cpu_s: int | None = None


@dataclass
class WorkerSource:
    """What is known of an app when its workers are needed. Each part is told by whoever knows it.

    Attributes:
        spec: What is served.
        options: How workers are set up.
        module: Name of the module that made the app.
        app: The app.
        attribute: Its name in the module, or that of a function that makes it, where that was served.
    """

    spec: EnvironmentSpec
    options: WorkerOptions = field(default_factory=WorkerOptions)
    module: str | None = None
    app: object = None
    attribute: str | None = None

    def supervisor(self) -> Supervisor:
        """A supervisor of workers of this app.

        Raises:
            ConfigurationError: Another process cannot find it; the message says why, and what to do.
        """
        from openenv.session.isolation.orders import Surroundings
        from openenv.session.isolation.reference import FactoryReference
        from openenv.session.isolation.supervisor import Supervisor  # here: most servers have none

        reference = FactoryReference.of(self.spec, self.module, self.app, self.attribute)
        options, spec = self.options, self.spec
        surroundings = Surroundings(spec.mode, dict(spec.credentials))
        return Supervisor(
            reference, options.sessions_per_worker, options.memory_bytes, options.cpu_s, surroundings=surroundings
        )
