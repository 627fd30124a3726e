"""How a value travels: both ends of every form of v2."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from openenv import Observation
from openenv.protocol import Step
from openenv.protocol.v2 import V2ClientCodec, V2ServerCodec
from openenv.protocol.v2_msgpack import MsgpackClientCodec, MsgpackServerCodec

__all__ = ["FORMS", "Seen", "action_of", "asked", "each_form", "received"]

FORMS = [(V2ServerCodec, V2ClientCodec), (MsgpackServerCodec, MsgpackClientCodec)]
each_form = pytest.mark.parametrize("form", FORMS, ids=["json", "msgpack"])


class Seen(Observation):
    x: Any = None


def received(form: Any, reply: Any) -> Any:
    """A reply as the client reads it."""
    server, client = form
    return client().decode(server().encode(reply))


def asked(form: Any, request: Any) -> Any:
    """A request as the server reads it."""
    server, client = form
    return server().decode(client().encode(request))


def action_of(step: Step) -> Any:
    return msgspec.json.decode(step.action) if isinstance(step.action, msgspec.Raw) else step.action
