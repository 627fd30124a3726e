"""One life of one environment: lifecycle, placement, capacity. Every decision of a server is made here."""

from openenv.session.engine import SessionEngine
from openenv.session.episode.calls import Call, Moved
from openenv.session.episode.departed import Ending
from openenv.session.episode.lifecycle import Phase
from openenv.session.episode_events import events_of
from openenv.session.hosting.placement import Placement
from openenv.session.isolation import WorkerOptions
from openenv.session.lifetime.leases import LEASE_S
from openenv.session.lifetime.recovery import JournalOptions
from openenv.session.openings import Openings
from openenv.session.peer import Peer
from openenv.session.prompt import LATER, Later
from openenv.session.served.spec import AnyEnvironment, EnvironmentSpec
from openenv.session.session import Session
from openenv.session.shared import SharedSession

__all__ = [
    "LATER",
    "LEASE_S",
    "AnyEnvironment",
    "Call",
    "Ending",
    "EnvironmentSpec",
    "JournalOptions",
    "Later",
    "Moved",
    "Openings",
    "Peer",
    "Phase",
    "Placement",
    "Session",
    "SessionEngine",
    "SharedSession",
    "WorkerOptions",
    "events_of",
]
