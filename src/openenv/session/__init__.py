"""One life of one environment: lifecycle, placement, capacity. Every decision of a server is made here."""

from openenv.session.calls import Call, Moved
from openenv.session.departed import Ending
from openenv.session.engine import SessionEngine
from openenv.session.episode_events import events_of
from openenv.session.isolation import WorkerOptions
from openenv.session.leases import LEASE_S
from openenv.session.lifecycle import Phase
from openenv.session.openings import Openings
from openenv.session.peer import Peer
from openenv.session.placement import Placement
from openenv.session.prompt import LATER, Later
from openenv.session.recovery import JournalOptions
from openenv.session.session import Session
from openenv.session.shared import SharedSession
from openenv.session.spec import AnyEnvironment, EnvironmentSpec

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
