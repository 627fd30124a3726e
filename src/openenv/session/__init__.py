"""One life of one environment: lifecycle, placement, capacity. Every decision of a server is made here."""

from openenv.session.detached import DetachedSessions
from openenv.session.engine import SessionEngine
from openenv.session.peer import Peer
from openenv.session.placement import Placement
from openenv.session.session import Session
from openenv.session.spec import AnyEnvironment, EnvironmentSpec

__all__ = [
    "AnyEnvironment",
    "DetachedSessions",
    "EnvironmentSpec",
    "Peer",
    "Placement",
    "Session",
    "SessionEngine",
]
