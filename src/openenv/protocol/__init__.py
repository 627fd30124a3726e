"""The wire, without I/O: messages, their encodings, and the rules for ids and versions."""

from openenv.protocol.connection import SUBPROTOCOLS, ClientConnection, ServerCodec, server_codec
from openenv.protocol.encoding import EncodingFailed, fields_beside, is_model, to_json
from openenv.protocol.faults import fault
from openenv.protocol.lossy import observation_part, unencodable
from openenv.protocol.messages import (
    Close,
    Closed,
    Failed,
    GetState,
    Hello,
    Limits,
    Mcp,
    McpReply,
    Observed,
    Open,
    Opened,
    Reply,
    Request,
    Reset,
    StateIs,
    Step,
)
from openenv.protocol.v1 import http_observation
from openenv.protocol.window import Admission, ReplyWindow

__all__ = [
    "SUBPROTOCOLS",
    "Admission",
    "ClientConnection",
    "Close",
    "Closed",
    "EncodingFailed",
    "Failed",
    "GetState",
    "Hello",
    "Limits",
    "Mcp",
    "McpReply",
    "Observed",
    "Open",
    "Opened",
    "Reply",
    "ReplyWindow",
    "Request",
    "Reset",
    "ServerCodec",
    "StateIs",
    "Step",
    "fault",
    "fields_beside",
    "http_observation",
    "is_model",
    "observation_part",
    "server_codec",
    "to_json",
    "unencodable",
]
