"""HTTP requests that carry a key run once, whoever sends them again, and have one answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.unit.server.site import code, key, sites
from tests.unit.session.worlds import world


@pytest.fixture
async def site() -> AsyncIterator[Any]:
    async with sites() as made:
        yield made


@pytest.mark.parametrize("private", [False, True])
async def test_the_same_key_runs_once_and_has_the_same_answer(site: Any, private: bool) -> None:
    cls = world()
    client = await (await site(cls)).client()
    session = (await client.post("/sessions")).json()["session_id"] if private else None
    client.cookies.clear()
    resets = [await client.post("/reset", headers=key("r", session)) for _ in range(2)]
    assert resets[0].json() == resets[1].json()
    assert resets[0].json()["seed"] == cls.ledger.seen[0]["seed"]
    steps = [await client.post("/step", json={"action": {}}, headers=key("s", session)) for _ in range(3)]
    assert {answer.content for answer in steps} == {steps[0].content}
    assert steps[0].json()["observation"]["value"] == 1
    other = await client.post("/step", json={"action": {}}, headers=key("t", session))
    assert other.json()["observation"]["value"] == 2
    assert (cls.ledger.count("reset"), cls.ledger.count("step")) == (1, 2)


async def test_a_failure_is_an_answer_too(site: Any) -> None:
    cls = world()
    client = await (await site(cls)).client()
    early = [await client.post("/step", json={"action": {}}, headers=key("early")) for _ in range(2)]
    assert [code(answer) for answer in early] == [(409, "RESET_NEEDED")] * 2
    await client.post("/reset")
    again = await client.post("/step", json={"action": {}}, headers=key("early"))
    assert code(again) == (409, "RESET_NEEDED")  # the answer of its first run
    body = {"action": {"how": "raise"}}
    failed = [await client.post("/step", json=body, headers=key("k")) for _ in range(2)]
    assert failed[0].content == failed[1].content
    assert code(failed[0]) == (500, "EXECUTION_ERROR")
    wrong = [await client.post("/step", json={"action": {"n": "x"}}, headers=key("w")) for _ in range(2)]
    assert [code(answer) for answer in wrong] == [(422, "VALIDATION_ERROR")] * 2
    assert cls.ledger.count("step") == 1


async def test_two_at_once_under_one_key_are_one(site: Any) -> None:
    cls = world()
    client = await (await site(cls)).client()
    await client.post("/reset")
    body = {"action": {"how": "wait"}}
    asked = [asyncio.create_task(client.post("/step", json=body, headers=key("k"))) for _ in range(4)]
    await asyncio.to_thread(cls.ledger.wait, "waiting")
    cls.ledger.gate.set()
    answers = await asyncio.gather(*asked)
    assert [answer.json()["observation"]["value"] for answer in answers] == [1] * 4
    assert cls.ledger.count("step") == 1


@pytest.mark.parametrize(("path", "body"), [("/step", {"action": {"how": "done"}}), ("/reset", {"action": {}})])
async def test_a_key_is_for_one_request(site: Any, path: str, body: dict[str, Any]) -> None:
    cls = world()
    client = await (await site(cls)).client()
    await client.post("/reset")
    await client.post("/step", json={"action": {}}, headers=key("k"))
    refused = await client.post(path, json=body, headers=key("k"))
    assert code(refused) == (422, "INVALID_REQUEST")
    assert "new key" in refused.json()["error"]["message"]
    assert (cls.ledger.count("reset"), cls.ledger.count("step")) == (1, 1)
    again = await client.post("/step", json={"action": {}}, headers=key("k"))
    assert again.json()["observation"]["value"] == 1


async def test_sessions_have_keys_of_their_own(site: Any) -> None:
    client = await (await site(world())).client()
    names = [(await client.post("/sessions")).json()["session_id"] for _ in range(2)]
    client.cookies.clear()
    for name in (None, *names):
        await client.post("/reset", headers=key("r", name))
        assert (await client.post("/step", json={"action": {}}, headers=key("s", name))).json()["reward"] == 1.0


async def test_so_many_answers_are_kept(site: Any) -> None:
    cls = world()
    client = await (await site(cls)).client()
    await client.post("/reset")

    async def value(number: int) -> int:
        answer = await client.post("/step", json={"action": {}}, headers=key(str(number)))
        return int(answer.json()["observation"]["value"])

    assert [await value(number) for number in range(1, 34)] == [*range(1, 34)]
    assert [await value(number) for number in range(33, 1, -1)] == [*range(33, 1, -1)]
    assert await value(1) == 34  # too long ago
    assert cls.ledger.count("step") == 34


@pytest.mark.parametrize("name", ["", "x" * 256])
async def test_a_key_has_a_length(site: Any, name: str) -> None:
    client = await (await site(world())).client()
    for path in ("/reset", "/step", "/sessions"):
        refused = await client.post(path, json={"action": {}}, headers=key(name))
        assert code(refused) == (422, "INVALID_REQUEST")
        assert "1 to 255" in refused.json()["error"]["message"]


async def test_a_caller_that_goes_does_not_end_the_step(site: Any) -> None:
    cls = world()
    client = await (await site(cls)).client()
    await client.post("/reset")
    body = {"action": {"how": "wait"}}
    gone = asyncio.create_task(client.post("/step", json=body, headers=key("k")))
    await asyncio.to_thread(cls.ledger.wait, "waiting")
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    back = asyncio.create_task(client.post("/step", json=body, headers=key("k")))
    cls.ledger.gate.set()
    assert (await back).json()["observation"]["value"] == 1
    assert cls.ledger.count("step") == 1


async def test_opening_under_a_key_opens_once(site: Any) -> None:
    cls = world()
    one = await site(cls, 2)
    client = await one.client()
    opened = await asyncio.gather(*(client.post("/sessions", headers=key("k")) for _ in range(3)))
    opened.append(await client.post("/sessions", headers=key("k")))
    assert {answer.status_code for answer in opened} == {201}
    assert len({answer.content for answer in opened}) == 1
    assert one.engine.active == cls.ledger.count("made") == 1
    assert (await client.post("/sessions", headers=key("l"))).json() != opened[0].json()
    session = opened[0].json()["session_id"]
    await client.delete(f"/sessions/{session}")
    gone = await client.post("/sessions", headers=key("k"))
    assert code(gone) == (410, "EPISODE_LOST")
    assert gone.json()["error"]["details"]["reason"] == "closed"


@pytest.mark.parametrize("keyed", [False, True])
async def test_what_opens_after_its_caller_went_is_found_again_or_ends(site: Any, keyed: bool) -> None:
    cls = world(on_make="wait")
    one = await site(cls, 2)
    client = await one.client()
    headers = key("k") if keyed else {}
    gone = asyncio.create_task(client.post("/sessions", headers=headers))
    await asyncio.to_thread(cls.ledger.wait, "waiting")
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    cls.ledger.gate.set()
    if not keyed:
        await asyncio.to_thread(cls.ledger.wait, "close")
        return
    opened = await client.post("/sessions", headers=headers)
    assert opened.status_code == 201
    assert cls.ledger.count("made") == one.engine.active == 1
