/** Connections that break at every point, sessions that are gone, and requests that are given up. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { EpisodeLost } from "../src/index.ts";
import { ScriptedServer, answer, connected } from "./scripted.ts";
import type { Message } from "./scripted.ts";

/** Leave a request without an answer and break the connection, as often as it says; then answer. */
function cutting(server: ScriptedServer, type: string, times = 1): void {
  let cuts = 0;
  server.onrequest = (message, socket) => {
    if (message["type"] === type && cuts++ < times) socket.cut();
    else answer(message, socket);
  };
}

const ids = (messages: readonly Message[]) => messages.map((message) => message["id"]);

for (const type of ["reset", "step", "state", "close"]) {
  test(`a connection that breaks during ${type} comes back, and the request goes out again under its id`, async () => {
    const server = new ScriptedServer();
    const connection = await connected(server);
    const session = await connection.open();
    await session.reset();
    cutting(server, type, 2);
    const calls = {
      reset: () => session.reset(),
      step: () => session.step(1),
      state: () => session.state(),
      close: () => session.close(),
    };
    await calls[type as keyof typeof calls]();
    assert.equal(server.sockets.length, 3);
    assert.deepEqual(ids(server.asked(type)).slice(-3), [2, 2, 2]);
    const { session: name, token } = server.asked("resume")[0]!;
    assert.equal(name, session.id);
    assert.equal(token, session.id.replace("s-", "t-"));
    assert.deepEqual(
      server.last.asked.map((message) => message["type"]),
      ["resume", type],
    );
    assert.deepEqual(server.last.offered, ["openenv.v2.json"]); // the frames that go out again are in this form
    await connection.close();
  });
}

test("a connection that breaks during open gets the session of the same nonce", async () => {
  const server = new ScriptedServer();
  const connection = await connected(server);
  cutting(server, "open", 2);
  const session = await connection.open();
  assert.equal(new Set(server.asked("open").map((message) => message["nonce"])).size, 1);
  assert.equal(server.asked("open").length, 3);
  await session.reset();
  await connection.close();
});

test("a connection that breaks during the resume, or before the greeting, comes back too", async () => {
  const server = new ScriptedServer();
  const connection = await connected(server);
  const session = await connection.open();
  await session.reset();
  server.withoutGreeting = 1;
  const broken = new Set<unknown>();
  server.onrequest = (message, socket) => {
    if (message["type"] === "state" || broken.has(message["type"])) answer(message, socket);
    else {
      broken.add(message["type"]);
      socket.cut();
    }
  };
  assert.deepEqual((await session.step(1)).observation, { id: 2 });
  assert.deepEqual(
    server.sockets.map((socket) => socket.asked.map((message) => message["type"])),
    [["open", "reset", "step"], [], ["resume"], ["resume", "step"]],
  );
  server.onrequest = answer;
  await connection.close();
});

test("a request that is made before the session is resumed goes out after that, once", async () => {
  const server = new ScriptedServer();
  const connection = await connected(server);
  const session = await connection.open();
  const resume = new Promise<Message>((resolve) => {
    server.onrequest = (message, socket) => (message["type"] === "resume" ? resolve(message) : answer(message, socket));
  });
  server.last.cut();
  const first = session.step(1);
  const asked = await resume;
  const second = session.step(2);
  assert.deepEqual(server.asked("step"), []);
  answer(asked, server.last);
  assert.deepEqual([(await first).observation.id, (await second).observation.id], [1, 2]);
  assert.deepEqual(ids(server.asked("step")), [1, 2]);
  await connection.close();
});

test("a session that was closed is not resumed", async () => {
  const server = new ScriptedServer();
  const connection = await connected(server);
  const [closed, living] = [await connection.open(), await connection.open()];
  await closed.close();
  server.last.cut();
  await living.step(1);
  assert.deepEqual(
    server.asked("resume").map((message) => message["session"]),
    [living.id],
  );
  await connection.close();
});

test("a server that is there, but slow, gets no request twice", async () => {
  const server = new ScriptedServer();
  const connection = await connected(server, { livenessTimeoutS: 0.02 });
  const session = await connection.open();
  let step: Message | undefined;
  server.onrequest = (message, socket) => {
    if (message["type"] === "step") step = message;
    else answer(message, socket);
    if (message["type"] === "resume" && server.asked("resume").length === 3) answer(step!, socket);
  };
  await session.step(1);
  assert.deepEqual([server.sockets.length, server.asked("step").length], [1, 1]);
  await connection.close();
});

test("an idle session is resumed at once, so that its lease does not run out", async () => {
  const server = new ScriptedServer();
  const connection = await connected(server);
  const session = await connection.open();
  const resumed = new Promise<void>((resolve) => {
    server.onrequest = (message, socket) => {
      answer(message, socket);
      if (message["type"] === "resume") resolve();
    };
  });
  server.last.cut();
  await resumed;
  assert.equal((await session.step(1)).observation.id, 1);
  await connection.close();
});

const GONE: readonly [string, Message, string][] = [
  [
    "the server says why",
    { code: "EPISODE_LOST", message: "too late", details: { reason: "lease_expired" } },
    "lease_expired",
  ],
  ["the server does not know it", { code: "SESSION_NOT_FOUND", message: "no such session" }, "session_unknown"],
];
for (const [what, error, reason] of GONE) {
  test(`a session that cannot be resumed is lost: ${what}`, async () => {
    const server = new ScriptedServer();
    const connection = await connected(server);
    const losses: string[] = [];
    const session = await connection.open({ onEnded: (loss) => losses.push(loss.reason) });
    await session.reset();
    server.onrequest = (message, socket) => {
      if (message["type"] === "step") socket.cut();
      else if (message["type"] === "resume")
        socket.say({ type: "error", session: message["session"], id: 0, ...error });
      else answer(message, socket);
    };
    const lost = (thrown: unknown) =>
      thrown instanceof EpisodeLost && thrown.reason === reason && thrown.code === "EPISODE_LOST";
    await assert.rejects(session.step(1), lost);
    await assert.rejects(session.state(), lost);
    assert.deepEqual([losses, session.loss?.reason], [[reason], reason]);
    const before = session.id;
    assert.equal((await session.reset()).observation.id, 1); // on a session of its own
    assert.notEqual(session.id, before);
    await session.close();
    await connection.close();
  });

  test(`a close that finds it gone has done what it should: ${what}`, async () => {
    const server = new ScriptedServer();
    const connection = await connected(server);
    const session = await connection.open();
    server.onrequest = (message, socket) => {
      if (message["type"] === "close") socket.cut();
      else socket.say({ type: "error", session: message["session"], id: 0, ...error });
    };
    await session.close();
    assert.equal(session.loss, undefined);
    await connection.close();
  });
}

test("a notice that the session ended fails what is unanswered, and everything after it", async () => {
  const server = new ScriptedServer();
  const connection = await connected(server);
  const losses: string[] = [];
  const session = await connection.open({ onEnded: (loss) => losses.push(loss.message) });
  server.onrequest = () => {};
  const step = session.step(1);
  server.last.say({
    type: "ended",
    session: session.id,
    id: 0,
    reason: "reclaimed",
    message: "another needed the place",
  });
  await assert.rejects(step, (error) => error instanceof EpisodeLost && error.reason === "reclaimed");
  await assert.rejects(session.step(1), EpisodeLost);
  assert.deepEqual(losses, ["another needed the place"]);
  await session.close();
  await connection.close();
});

test("when the time for reconnecting is over, what waits is lost and what does not wait is kept", async () => {
  const server = new ScriptedServer();
  const connection = await connected(server, { reconnectTimeoutS: 0.02 });
  const [waits, idles] = [await connection.open(), await connection.open()];
  server.onrequest = () => {};
  const step = waits.step(1);
  server.isUp = false;
  server.last.cut(1012);
  await assert.rejects(step, (error) => error instanceof EpisodeLost && error.reason === "connection_lost");
  assert.equal(idles.loss, undefined);
  server.isUp = true;
  server.onrequest = answer;
  assert.equal((await idles.step(1)).observation.id, 1);
  assert.deepEqual(
    server.last.asked.map((message) => [message["type"], message["session"]]),
    [
      ["resume", idles.id],
      ["step", idles.id],
    ],
  );
  await connection.close();
});

test("with a reconnectTimeoutS of 0 a break loses the episode", async () => {
  const server = new ScriptedServer();
  const connection = await connected(server, { reconnectTimeoutS: 0 });
  const session = await connection.open();
  cutting(server, "step");
  await assert.rejects(session.step(1), (error) => error instanceof EpisodeLost && error.reason === "connection_lost");
  assert.equal(server.sockets.length, 1);
  assert.equal((await session.reset()).observation.id, 1);
  await connection.close();
});

for (const [code, reason] of [
  [1009, "message_too_large"],
  [1002, "protocol_error"],
] as const) {
  test(`a connection closed with ${code} is not tried again with the same request`, async () => {
    const server = new ScriptedServer();
    const connection = await connected(server);
    const session = await connection.open();
    server.onrequest = (_message, socket) => socket.cut(code);
    await assert.rejects(session.step(1), (error) => error instanceof EpisodeLost && error.reason === reason);
    assert.equal(server.sockets.length, 1);
    await connection.close();
  });
}

test("a request that takes too long is given up, and the server is told to end the session", async () => {
  const server = new ScriptedServer();
  const connection = await connected(server);
  const session = await connection.open();
  await session.reset();
  server.onrequest = () => {};
  await assert.rejects(
    session.step(1, { timeoutS: 0.01 }),
    (error) => error instanceof EpisodeLost && error.reason === "timeout",
  );
  assert.deepEqual(server.asked("close"), [{ type: "close", session: session.id, id: 3, ack: 1 }]);
  assert.equal(server.asked("step")[0]?.["timeout_s"], 0.01);
  server.onrequest = answer;
  answer(server.asked("step")[0]!, server.last); // too late: nobody gets it
  answer(server.asked("close")[0]!, server.last);
  assert.equal((await session.reset()).observation.id, 1);
  await connection.close();
});

test("a session that was given up while the connection was broken is ended once it is back", async () => {
  const server = new ScriptedServer();
  const connection = await connected(server);
  const session = await connection.open();
  await session.reset();
  server.isUp = false;
  const closed = new Promise<Message>((resolve) => {
    server.onrequest = (message, socket) => {
      if (message["type"] === "step") socket.cut();
      else answer(message, socket);
      if (message["type"] === "close") resolve(message);
    };
  });
  const controller = new AbortController();
  const step = session.step(1, { signal: controller.signal });
  controller.abort();
  await assert.rejects(step, (error) => error instanceof EpisodeLost && error.reason === "cancelled");
  server.isUp = true;
  assert.deepEqual(await closed, { type: "close", session: session.id, id: 3, ack: 1 }); // id 2 may never have come
  await connection.close();
});

test("a server that is silent is asked whether it is there, and left if it is not", async () => {
  const server = new ScriptedServer();
  const connection = await connected(server, { livenessTimeoutS: 0.02 });
  const session = await connection.open();
  let silent = true;
  server.onrequest = (message, socket) => {
    if (server.sockets.length > 1) silent = false;
    if (!silent) answer(message, socket);
  };
  assert.equal((await session.step(1)).observation.id, 1);
  assert.deepEqual(
    server.sockets[0]!.asked.map((message) => message["type"]),
    ["open", "step", "resume"],
  );
  assert.deepEqual(
    server.last.asked.map((message) => message["type"]),
    ["resume", "step"],
  );
  await connection.close();
});
