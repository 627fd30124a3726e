/** Requests and replies on a connection that holds, errors, the queue, and options. */

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  CapacityReached,
  ConfigurationError,
  ConnectFailed,
  EpisodeLost,
  MessageTooLarge,
  OpenEnvError,
  RemoteProtocolError,
  RequestTimeout,
  SessionBusy,
  SessionClosed,
  connect,
} from "../src/index.ts";
import { HELLO, ScriptedServer, answer, connected } from "./scripted.ts";

test("reset, step, state and close are numbered and acknowledged", async () => {
  const server = new ScriptedServer();
  const connection = await connected(server);
  const session = await connection.open();
  await session.reset({ seed: 7, episodeId: "E1", options: { hard: true } });
  const result = await session.step({ amount: 1 }, { options: { fast: true } });
  assert.deepEqual(await session.state(), { id: 3 });
  await session.close();
  await session.close();
  const [opened, reset, step, state, close] = server.last.asked;
  assert.match(String(opened?.["nonce"]), /^[0-9a-f]{32}$/);
  const named = { session: session.id };
  assert.deepEqual(reset, {
    type: "reset",
    seed: 7,
    episode_id: "E1",
    options: { hard: true },
    ...named,
    id: 1,
    ack: 0,
  });
  assert.deepEqual(step, { type: "step", action: { amount: 1 }, options: { fast: true }, ...named, id: 2, ack: 1 });
  assert.deepEqual(
    [state, close],
    [
      { type: "state", ...named, id: 3, ack: 2 },
      { type: "close", ...named, id: 4, ack: 3 },
    ],
  );
  assert.equal(server.last.asked.length, 5);
  assert.deepEqual([result.reward, result.done, result.observation, result.episodeId], [1, false, { id: 2 }, null]);
  await assert.rejects(session.step({}), SessionClosed);
  await connection.close();
  await assert.rejects(connection.open(), SessionClosed);
});

test("requests are made without waiting, and those that are unanswered are not acknowledged", async () => {
  const server = new ScriptedServer();
  const connection = await connected(server);
  const session = await connection.open();
  await session.reset();
  server.onrequest = () => {};
  const steps = Array.from({ length: 31 }, () => session.step({}));
  await assert.rejects(session.step({}), SessionBusy);
  assert.deepEqual(
    server.asked("step").map((message) => message["ack"]),
    Array(31).fill(1),
  );
  server.asked("step").forEach((message) => answer(message, server.last));
  assert.deepEqual(
    (await Promise.all(steps)).map((one) => one.observation.id),
    Array.from({ length: 31 }, (_, i) => i + 2),
  );
  server.onrequest = answer;
  await connection.close();
});

test("sessions of one connection are told apart, whatever the order of replies", async () => {
  const server = new ScriptedServer();
  const connection = await connected(server);
  const sessions = await Promise.all(Array.from({ length: 3 }, () => connection.open()));
  server.onrequest = () => {};
  const resets = sessions.map((session) => session.reset().then((result) => [session.id, result.observation.of]));
  for (const message of server.asked("reset").reverse()) {
    const { session, id } = message;
    server.last.say({ type: "observation", session, id, observation: { of: session }, done: false });
  }
  for (const [own, of] of await Promise.all(resets)) assert.equal(own, of);
  assert.equal(server.sockets.length, 1);
  server.onrequest = answer;
  await connection.close();
});

test("an error is of the class of its code, and the session goes on", async () => {
  const server = new ScriptedServer();
  const connection = await connected(server);
  const session = await connection.open();
  const failing = (code: string, retryable = false) => {
    server.onrequest = (message, socket) => {
      const { session: name, id } = message;
      socket.say({ type: "error", session: name, id, code, message: "no", retryable, details: { errors: [1] } });
    };
    return session.step(1).then(
      () => assert.fail("it did not fail"),
      (error: OpenEnvError) => error,
    );
  };
  const invalid = await failing("VALIDATION_ERROR");
  assert.deepEqual(
    [invalid.name, invalid.code, invalid.retryable, invalid.details],
    ["ActionInvalid", "VALIDATION_ERROR", false, { errors: [1] }],
  );
  assert.equal((await failing("BUSY", true)).retryable, true);
  const unknown = await failing("FROM_2031");
  assert.deepEqual([unknown.name, unknown.code, unknown.message], ["OpenEnvError", "FROM_2031", "FROM_2031: no"]);
  server.onrequest = answer;
  assert.equal((await session.step(1)).observation.id, 4);
  await connection.close();
});

test("an open waits in the queue, is told its place, and may be refused", async () => {
  const server = new ScriptedServer();
  const connection = await connected(server);
  const positions: number[] = [];
  server.onrequest = (message, socket) => {
    for (const position of [2, 1])
      socket.say({ type: "queued", session: "", id: 0, nonce: message["nonce"], position });
    answer(message, socket);
  };
  await connection.open({ queueTimeoutS: 30, onQueued: (position) => positions.push(position) });
  assert.deepEqual([positions, server.asked("open")[0]?.["queue_timeout_s"]], [[2, 1], 30]);
  server.onrequest = (message, socket) => {
    const details = { nonce: message["nonce"], retry_after_s: 5 };
    socket.say({
      type: "error",
      session: "",
      id: 0,
      code: "CAPACITY_REACHED",
      message: "full",
      retryable: true,
      details,
    });
  };
  const refused = await connection.open().catch((error: unknown) => error);
  assert.ok(refused instanceof CapacityReached && refused.retryable);
  assert.equal(refused.retryAfterS, 5);
  assert.equal(server.asked("open")[1]?.["queue_timeout_s"], undefined);
  server.onrequest = answer;
  await connection.close();
});

test("a session that opens when nobody waits for it any more is closed", async () => {
  const server = new ScriptedServer();
  const connection = await connected(server, { connectTimeoutS: 0.01 });
  server.onrequest = () => {};
  await assert.rejects(connection.open(), RequestTimeout);
  server.onrequest = answer;
  answer(server.asked("open")[0]!, server.last);
  assert.deepEqual(
    server.asked("close").map((message) => message["id"]),
    [1],
  );
  await connection.close();
});

test("an answer to open that comes twice makes one session", async () => {
  const server = new ScriptedServer();
  const connection = await connected(server);
  server.onrequest = (message, socket) => {
    answer(message, socket);
    answer(message, socket);
  };
  const session = await connection.open();
  server.onrequest = answer;
  assert.equal((await session.step(1)).observation.id, 1);
  assert.deepEqual(server.asked("close"), []);
  await connection.close();
});

test("what is too large is not sent", async () => {
  const server = new ScriptedServer();
  const connection = await connected(server);
  const session = await connection.open();
  await assert.rejects(session.step("x".repeat(1000)), MessageTooLarge);
  assert.equal((await session.step("x")).observation.id, 1);
  await connection.close();
});

test("a first connection is not tried again", async () => {
  const server = new ScriptedServer();
  server.isUp = false;
  await assert.rejects(connected(server), ConnectFailed);
  server.isUp = true;
  server.hello = undefined;
  await assert.rejects(connected(server, { connectTimeoutS: 0.01, reconnectTimeoutS: 0.001 }), ConnectFailed);
  server.protocol = "";
  await assert.rejects(
    connected(server),
    (error) => error instanceof RemoteProtocolError && /protocol v1/.test(error.message),
  );
});

test("a server that does not greet as it should is none", async () => {
  const server = new ScriptedServer();
  const { limits, ...incomplete } = HELLO;
  assert.ok(limits);
  for (const greeting of [incomplete, { ...HELLO, limits: null }, { type: "closed", session: "", id: 0 }, { id: 0 }]) {
    server.hello = greeting;
    await assert.rejects(connected(server), RemoteProtocolError);
  }
});

test("a frame that cannot be read loses what waits", async () => {
  const server = new ScriptedServer();
  const connection = await connected(server);
  const session = await connection.open();
  server.onrequest = (_message, socket) => socket.onmessage?.({ data: "{" } as never);
  await assert.rejects(session.step(1), (error) => error instanceof EpisodeLost && error.reason === "protocol_error");
  await connection.close();
});

test("options that make no sense are refused", async () => {
  const server = new ScriptedServer();
  await assert.rejects(connect("localhost:8000"), ConfigurationError);
  await assert.rejects(connect("ftp://a"), ConfigurationError);
  await assert.rejects(connected(server, { connectTimeoutS: -1 }), ConfigurationError);
  await assert.rejects(connected(server, { encodings: ["xml" as never] }), ConfigurationError);
});

test("closing the connection closes its sessions, and fails what waits", async () => {
  const server = new ScriptedServer();
  const connection = await connected(server);
  const [first, second] = [await connection.open(), await connection.open()];
  await connection.close();
  assert.deepEqual(
    server.asked("close").map((message) => message["session"]),
    [first.id, second.id],
  );
  assert.equal(server.last.isOpen, false);
  await assert.rejects(first.step(1), SessionClosed);
  const other = await connected(server);
  server.onrequest = () => {};
  const opening = other.open();
  await Promise.all([assert.rejects(opening, SessionClosed), other.close()]);
});
