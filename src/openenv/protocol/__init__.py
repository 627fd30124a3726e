"""The wire, without I/O: messages, their encodings, and the rules for ids and versions."""

from openenv.protocol.batch import MOST_IN_BATCH, is_batch, joined, parts
from openenv.protocol.connection import SUBPROTOCOLS, ClientConnection, ClientSession, ServerCodec, server_codec
from openenv.protocol.encoding import EncodingFailed, fields_beside, is_model, to_json
from openenv.protocol.faults import fault
from openenv.protocol.lossy import encodable_part, observation_part, unencodable
from openenv.protocol.messages import (
    Close,
    Closed,
    Ended,
    Failed,
    GetState,
    Hello,
    Limits,
    Mcp,
    McpReply,
    Observed,
    Open,
    Opened,
    Progress,
    Queued,
    Reply,
    Request,
    Reset,
    Resume,
    Resumed,
    StateIs,
    Step,
)
from openenv.protocol.negotiation import ClientCodec, client_codec
from openenv.protocol.plain import observation_text, rich_fields
from openenv.protocol.transcode import transcoded
from openenv.protocol.v1 import http_observation
from openenv.protocol.v2 import V2ClientCodec, V2ServerCodec
from openenv.protocol.window import Admission, ReplyWindow

__all__ = [
    "MOST_IN_BATCH",
    "SUBPROTOCOLS",
    "Admission",
    "ClientCodec",
    "ClientConnection",
    "ClientSession",
    "Close",
    "Closed",
    "EncodingFailed",
    "Ended",
    "Failed",
    "GetState",
    "Hello",
    "Limits",
    "Mcp",
    "McpReply",
    "Observed",
    "Open",
    "Opened",
    "Progress",
    "Queued",
    "Reply",
    "ReplyWindow",
    "Request",
    "Reset",
    "Resume",
    "Resumed",
    "ServerCodec",
    "StateIs",
    "Step",
    "V2ClientCodec",
    "V2ServerCodec",
    "client_codec",
    "encodable_part",
    "fault",
    "fields_beside",
    "http_observation",
    "is_batch",
    "is_model",
    "joined",
    "observation_part",
    "observation_text",
    "parts",
    "rich_fields",
    "server_codec",
    "to_json",
    "transcoded",
    "unencodable",
]
