"""What is wrong with a frame is said with the right error, whatever arrives."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openenv.errors import (
    InvalidJSON,
    InvalidRequest,
    OpenEnvError,
    ProtocolError,
    RemoteProtocolError,
    UnknownType,
)
from openenv.protocol import Failed, GetState, Observed, Opened, Request, Reset, StateIs, Step
from openenv.protocol.v1 import V1ClientCodec, V1ServerCodec
from openenv.protocol.v2 import V2ClientCodec, V2ServerCodec

SERVERS = [V1ServerCodec, V2ServerCodec]
CLIENTS = [V1ClientCodec, V2ClientCodec]
DEEP = "[" * 100_000 + "]" * 100_000
NOT_JSON = [
    "",
    "nope",
    '{"type":"state"',
    '{"type":"state"} more',
    '{"type":"reset","data":{"x":NaN}}',
    '{"type":"sta\ud800te"}',
    b'{"type":"sta\xffte"}',
    b"\xff\xfe{\x00}\x00",
    '{"type":"state","later":' + DEEP + "}",
    '{"type":"step","data":' + DEEP + ',"action":' + DEEP + "}",
]

each_server = pytest.mark.parametrize("codec", SERVERS)


@each_server
@pytest.mark.parametrize("frame", NOT_JSON, ids=lambda frame: repr(frame[:40]))
def test_not_json(codec: Any, frame: str | bytes) -> None:
    with pytest.raises(InvalidJSON, match="not JSON"):
        codec().decode(frame)


@each_server
@pytest.mark.parametrize("frame", ["[1,2]", '"abc"', "null", "5", " \n[]", b"[]", "true"])
def test_not_an_object(codec: Any, frame: str | bytes) -> None:
    with pytest.raises(InvalidJSON, match="must be a JSON object"):
        codec().decode(frame)


@each_server
@pytest.mark.parametrize("type_", ["ping", "STEP", "", "observation", "batch"])
def test_unknown_type(codec: Any, type_: str) -> None:
    with pytest.raises(UnknownType, match=f"unknown type '{type_}'; known are .*reset"):
        codec().decode(json.dumps({"type": type_, "data": {}}))


@pytest.mark.parametrize("frame", ["{}", '{"type":5}', '{"type":null}', '{"data":{}}', ' {"type":["reset"]}'])
def test_no_text_type(frame: str) -> None:
    with pytest.raises(UnknownType, match="needs a text 'type', one of reset"):
        V1ServerCodec().decode(frame)
    with pytest.raises(InvalidRequest, match="needs a text 'type'"):
        V2ServerCodec().decode(frame.encode())


def test_v2_is_told_of_an_unknown_type_before_what_is_broken_behind_it() -> None:
    with pytest.raises(InvalidJSON):
        V2ServerCodec().decode('{"type":"nope", garbage')
    with pytest.raises(InvalidJSON):
        V2ServerCodec().decode('{"type":"nope", "x":' + DEEP + "}")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("[1]", "object"),
        ('"x"', "object"),
        ('{"seed":-1}', "seed"),
        ('{"seed":"abc"}', "seed"),
        ('{"seed":1.5}', "seed"),
        ('{"seed":9223372036854775808}', "seed"),
        ('{"episode_id":5}', "episode_id"),
        (f'{{"episode_id":"{"x" * 256}"}}', "episode_id"),
        ('{"x":1e999}', "out of range"),
    ],
)
def test_v1_reset_with_arguments_that_do_not_fit(data: str, told: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^reset: .*{told}"):
        V1ServerCodec().decode(f'{{"type":"reset","data":{data}}}')


@pytest.mark.parametrize("data", ["null", "{}", '{"seed":null,"episode_id":null}'])
def test_v1_reset_without_arguments(data: str) -> None:
    assert V1ServerCodec().decode(f'{{"type":"reset","data":{data}}}') == Reset()


def test_v1_reset_takes_every_other_name_as_an_option() -> None:
    data = {"type": "step", "id": 1, "session": "s", "ack": -1, "options": {"a": 1}}
    assert V1ServerCodec().decode(json.dumps({"type": "reset", "data": data})) == Reset(options=data)


@pytest.mark.parametrize("data", ['{"x":1}', "null", '"x"', "[1]"])
def test_v1_hands_an_action_on_as_it_came(data: str) -> None:
    request = V1ServerCodec().decode(f'{{"type":"step","data":{data}}}')
    assert isinstance(request, Step)
    assert bytes(request.action).decode() == data


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"type": "step"}, "action"),
        ({"type": "step", "action": {}, "timeout_s": 0}, "timeout_s"),
        ({"type": "step", "action": {}, "timeout_s": "1"}, "timeout_s"),
        ({"type": "step", "action": {}, "options": []}, "options"),
        ({"type": "reset", "seed": -1}, "seed"),
        ({"type": "reset", "seed": 2**63}, "seed"),
        ({"type": "reset", "episode_id": "x" * 256}, "episode_id"),
        ({"type": "open"}, "nonce"),
        ({"type": "open", "nonce": ""}, "nonce"),
        ({"type": "open", "nonce": "x" * 65}, "nonce"),
        ({"type": "state", "ack": -1}, "ack"),
        ({"type": "close", "ack": "1"}, "ack"),
    ],
)
def test_v2_fields_that_do_not_fit_are_named_and_answered_where_they_came_from(
    fields: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidRequest, match=f"^{fields['type']}: .*{told}") as refused:
        V2ServerCodec().decode(json.dumps({**fields, "session": "s1", "id": 3}))
    answer = Failed.of(refused.value)
    assert (answer.session, answer.id, answer.code) == ("s1", 3, "INVALID_REQUEST")


@pytest.mark.parametrize(
    ("fields", "told", "address"),
    [
        ({"id": -1}, "state: .*id", ("", -1)),
        ({"id": "3"}, "integer 'id'", ("", 0)),
        ({"session": 5}, "text 'session'", ("", 0)),
        ({"session": None, "id": 3}, "text 'session'", ("", 0)),
    ],
)
def test_v2_ids_that_do_not_fit(fields: dict[str, Any], told: str, address: tuple[str, int]) -> None:
    with pytest.raises(InvalidRequest, match=told) as refused:
        V2ServerCodec().decode(json.dumps({"type": "state", **fields}))
    answer = Failed.of(refused.value)
    assert (answer.session, answer.id) == address


def test_v2_unknown_type_is_answered_where_it_came_from() -> None:
    with pytest.raises(UnknownType) as refused:
        V2ServerCodec().decode('{"type":"batch","session":"s1","id":3}')
    answer = Failed.of(refused.value)
    assert (answer.session, answer.id) == ("s1", 3)
    assert Failed.of(refused.value, GetState(session="s2", id=4)).id == 4


@each_server
def test_unknown_keys_are_passed_over(codec: Any) -> None:
    assert codec().decode('{"x":[1],"type":"state","data":{},"later":{"a":null}}') == GetState()


@each_server
@settings(deadline=None)
@given(
    frame=st.text()
    | st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["type", "data", "session", "id", "ack", "action", "seed", "options", "request_id"]),
                inner | st.sampled_from(["reset", "step", "state", "open", "close", "mcp"]),
            )
        ),
    ).map(json.dumps)
)
def test_any_frame_is_a_request_or_a_protocol_error(codec: Any, frame: str | bytes) -> None:
    with contextlib.suppress(ProtocolError):
        assert isinstance(codec().decode(frame), Request)


@pytest.mark.parametrize("codec", CLIENTS)
@pytest.mark.parametrize(
    "frame",
    [
        *NOT_JSON,
        "[1]",
        "{}",
        '{"type":5}',
        '{"type":"weird","data":{}}',
        '{"type":"observation"}',
        '{"type":"observation","data":[]}',
        '{"type":"observation","data":{"reward":1}}',
        '{"type":"error"}',
        '{"type":"error","data":{"message":"m"},"message":"m"}',
        '{"type":"error","data":{"message":"m","code":["c"]},"message":"m","code":["c"]}',
        '{"type":"error","data":{"message":null,"code":"c"},"message":null,"code":"c"}',
    ],
    ids=lambda frame: repr(frame[:40]) if isinstance(frame, str | bytes) else None,
)
def test_a_client_cannot_read(codec: Any, frame: str | bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="this client cannot read"):
        codec().decode(frame)


def test_v1_client_reads_metadata_from_either_place() -> None:
    def read(data: str) -> Observed:
        reply = V1ClientCodec().decode(f'{{"type":"observation","data":{data}}}')
        assert isinstance(reply, Observed)
        return reply

    assert read('{"observation":{"x":1,"metadata":{"a":1}}}').metadata == {"a": 1}
    both = read('{"observation":{"x":1,"metadata":{"a":1}},"metadata":{"b":1},"done":true}')
    assert (both.observation, both.metadata, both.done, both.terminated) == ({"x": 1}, {"b": 1}, True, True)
    assert read('{"observation":{"x":1},"metadata":null}').metadata == {}
    assert read('{"observation":[1]}').observation == [1]


def test_v1_client_reads_a_state_of_any_kind() -> None:
    assert V1ClientCodec().decode('{"type":"state","data":null}') == StateIs(state=None)
    assert V1ClientCodec().decode('{"type":"state"}') == StateIs(state=None)


@pytest.mark.parametrize(
    ("data", "code", "details", "retryable"),
    [
        ({"code": "EXECUTION_ERROR", "errors": [{"code": "BUSY", "a": 1}]}, "BUSY", {"a": 1}, True),
        (
            {"code": "EXECUTION_ERROR", "errors": [{"code": "LATER"}]},
            "EXECUTION_ERROR",
            {"errors": [{"code": "LATER"}]},
            False,
        ),
        ({"code": "VALIDATION_ERROR", "errors": []}, "VALIDATION_ERROR", {"errors": []}, False),
        ({"code": "CAPACITY_REACHED"}, "CAPACITY_REACHED", {}, True),
        ({"code": "NEVER_HEARD_OF"}, "NEVER_HEARD_OF", {}, False),
    ],
)
def test_v1_client_reads_errors(data: dict[str, Any], code: str, details: dict[str, Any], retryable: bool) -> None:
    reply = V1ClientCodec().decode(json.dumps({"type": "error", "data": {"message": "m", **data}}))
    assert reply == Failed(code=code, message="m", details=details, retryable=retryable)


def test_an_unknown_code_is_still_an_error() -> None:
    error = Failed(code="NEVER_HEARD_OF", message="m", details={"a": 1}).to_error()
    assert type(error) is OpenEnvError
    assert (str(error), error.details) == ("NEVER_HEARD_OF: m", {"a": 1})


@pytest.mark.parametrize(
    ("data", "loc"),
    [
        ('{"seed":"x"}', ["seed"]),
        ('{"seed":-1}', ["seed"]),
        ('{"episode_id":5}', ["episode_id"]),
        ("[1]", []),
    ],
)
def test_v1_names_the_field_of_a_reset_that_does_not_fit(data: str, loc: list[str]) -> None:
    server = V1ServerCodec()
    with pytest.raises(InvalidRequest) as caught:
        server.decode('{"type":"reset","data":' + data + "}")
    (entry,) = caught.value.details["errors"]
    assert entry["loc"] == loc
    frame = server.encode(Failed.of(caught.value))
    assert frame is not None
    (sent,) = json.loads(frame)["data"]["errors"]
    assert (sent["code"], sent["loc"]) == ("INVALID_REQUEST", loc)
    read = V1ClientCodec().decode(frame)
    assert isinstance(read, Failed)
    error = read.to_error()
    assert isinstance(error, InvalidRequest)
    assert error.details == caught.value.details


def test_a_server_that_grants_no_agents_opens_sessions_all_the_same() -> None:
    read = V2ClientCodec().decode('{"type":"opened","session":"s1","id":0,"nonce":"n1","token":"t1","lease_s":1.0}')
    assert isinstance(read, Opened)
    assert (read.session, read.mcp_url, read.agent_token) == ("s1", "", "")
