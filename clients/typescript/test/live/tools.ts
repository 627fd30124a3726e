/** Plays an environment of tools on a real server that asks for a token. */

import assert from "node:assert/strict";

import { ConnectFailed, EpisodeDone, ExecutionFailed, InputNeeded, connect } from "../../src/index.ts";

const [url, token] = process.argv.slice(2) as [string, string];
await assert.rejects(connect(url, { reconnectTimeoutS: 0 }), ConnectFailed);
const connection = await connect(url, { token });
const session = await connection.open();
await session.reset();
const tools = await session.listTools();
assert.equal(tools.find((tool) => tool.name === "guess")?.description, "Guess the number.");
assert.equal(await session.callTool("guess", { number: 10 }), "higher");
assert.deepEqual(await session.callTool("hint"), { low: 30, high: 40 });
await assert.rejects(session.callTool("guess", { number: 101 }), ExecutionFailed);
await assert.rejects(session.callTool("gues"), ExecutionFailed);
const capabilities = { elicitation: {} };
await assert.rejects(session.call("ask", {}, { capabilities }), InputNeeded);
const inputs = { name: { action: "accept", content: { name: "Ada" } } };
assert.equal(await session.callTool("ask", {}, { inputs, capabilities }), "hello Ada");
const last = await session.call("guess", { number: 37 });
assert.deepEqual([last.reward, last.done, last.observation.result?.data], [1, true, "right"]);
await assert.rejects(session.callTool("hint"), EpisodeDone);
const outcome = await session.outcome();
assert.deepEqual([outcome.phase, outcome.steps, outcome.totalReward], ["done", 6, 0.75]);
const access = await session.agentAccess();
const headers = { Authorization: `Bearer ${access.token}`, "content-type": "application/json", accept: "*/*" };
const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params: {
  protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "t", version: "1" } } });
assert.equal((await fetch(access.mcpUrl, { method: "POST", headers, body })).status, 200);
await connection.close();
console.log("played");
