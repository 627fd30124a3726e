/** Plays a counter on a real server: every request, in the given form. */

import assert from "node:assert/strict";

import {
  ActionInvalid,
  CapacityReached,
  ConnectFailed,
  EpisodeLost,
  ResetNeeded,
  SessionClosed,
  connect,
} from "../../src/index.ts";
import type { Encoding } from "../../src/index.ts";

const [url, encoding] = process.argv.slice(2) as [string, Encoding];
const connection = await connect(url, { encodings: [encoding] });
assert.equal(connection.encoding, encoding);
assert.deepEqual(connection.hello.features, ["resume", "queue", "deadlines", "fork", "batch", "outcome", "agent"]);
assert.equal(connection.hello.environment, "Counter");

const session = await connection.open();
await assert.rejects(session.step({ amount: 1 }), ResetNeeded);
const first = await session.reset({ seed: 7, episodeId: "E1", options: { start: 10 } });
assert.deepEqual(first.observation, { total: 10 });
assert.deepEqual([first.seed, first.episodeId, first.done, first.reward], [7, "E1", false, null]);
const result = await session.step({ amount: 2 });
assert.deepEqual([result.observation, result.reward, result.done], [{ total: 12 }, 2, false]);
await assert.rejects(session.step({ amount: "much" }), (error) => {
  assert.ok(error instanceof ActionInvalid);
  assert.deepEqual((error.details["errors"] as { loc: unknown }[])[0]?.loc, ["amount"]);
  return true;
});
const state = await session.state();
assert.deepEqual([state.episode_id, state.step_count], ["E1", 1]);

const outcome = await session.outcome();
assert.deepEqual([outcome.phase, outcome.steps, outcome.reward, outcome.totalReward], ["running", 1, 2, 2]);
const access = await session.agentAccess();
assert.equal(access.mcpUrl, `${url}/sessions/${session.id}/mcp`);
assert.ok(access.token.startsWith(session.id));

// many sessions on this connection; their requests are made without waiting
const many = await Promise.all(Array.from({ length: 7 }, () => connection.open()));
await assert.rejects(connection.open(), (error) => error instanceof CapacityReached && error.retryable);
const totals = await Promise.all(
  many.map(async (one, index) => {
    await one.reset();
    const steps = await Promise.all(Array.from({ length: 20 }, () => one.step({ amount: index })));
    return steps.map((step) => step.observation.total as number);
  }),
);
totals.forEach((own, index) =>
  assert.deepEqual(
    own,
    Array.from({ length: 20 }, (_, step) => (step + 1) * index),
  ),
);

// one that waits for a place gets that of one that is closed
const { promise: queued, resolve: onQueued } = Promise.withResolvers<number>();
const waiting = connection.open({ queueTimeoutS: 20, onQueued });
assert.equal(await queued, 1);
await many[0]!.close();
await waiting;
await assert.rejects(many[0]!.step({ amount: 1 }), SessionClosed);

// given up: the server ends the session, and a reset begins on another one
const before = session.id;
const controller = new AbortController();
const step = session.step({ amount: 1 }, { signal: controller.signal });
controller.abort();
await assert.rejects(step, (error) => error instanceof EpisodeLost && error.reason === "cancelled");
assert.deepEqual((await session.reset()).observation, { total: 0 });
assert.notEqual(session.id, before);

await connection.close();
await assert.rejects(connect("http://127.0.0.1:1", { connectTimeoutS: 1000 }), ConnectFailed); // nobody listens there
console.log("played");
