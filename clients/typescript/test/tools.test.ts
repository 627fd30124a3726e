/** Tools, the outcome, access for agents, and tokens. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { accessOf } from "../src/agent.ts";
import { ConfigurationError, ExecutionFailed, InputNeeded, LocalProtocolError, RemoteProtocolError } from "../src/index.ts";
import type { WebSocketClass } from "../src/index.ts";
import { toolsOf, valueOf } from "../src/tools.ts";
import type { ToolObservation } from "../src/tools.ts";
import { HELLO, ScriptedServer, answer, connected } from "./scripted.ts";
import type { Message } from "./scripted.ts";

const BESIDE = { reward: 0.5, done: true, terminated: true, truncated: false, metadata: {} };
const TEXT = { type: "text", text: "a" };

/** A server with tools. */
function tooled(): ScriptedServer {
  const server = new ScriptedServer();
  server.hello = { ...HELLO, features: ["resume", "outcome", "agent"] };
  server.onrequest = (message, socket) => {
    const { type, session, id, action } = message;
    const asked = (action ?? {}) as Message;
    const say = (observation: Message) => socket.say({ type: "observation", session, id, observation, ...BESIDE });
    if (type === "outcome") {
      socket.say({ type, session, id, phase: "running", steps: 3, reward: null, total_reward: 0.5, done: false });
    } else if (type === "grant_agent") {
      socket.say({ type: "agent_granted", session, id, mcp_url: `/sessions/${String(session)}/mcp`, token: "t" });
    } else if (asked["type"] === "list_tools") {
      say({ tools: [{ name: "add", description: "Adds.", input_schema: { type: "object" }, title: "Add" }, { name: "b" }] });
    } else if (asked["tool_name"] === "ask" && asked["inputs"] === undefined) {
      const details = { requests: { name: { method: "elicitation/create", params: {} } } };
      socket.say({ type: "error", session, id, code: "INPUT_NEEDED", message: "asks", retryable: false, details });
    } else if (asked["type"] === "call_tool") {
      say({ tool_name: asked["tool_name"]!, result: result({ data: asked["arguments"] }), error: null });
    } else {
      answer(message, socket);
    }
  };
  return server;
}

function result(told: Partial<NonNullable<ToolObservation["result"]>>): NonNullable<ToolObservation["result"]> {
  return { content: [], structured_content: null, data: null, is_error: false, meta: null, ...told };
}

test("tools are listed and called", async () => {
  const server = tooled();
  const connection = await connected(server);
  const session = await connection.open();
  assert.deepEqual(await session.listTools(), [
    { name: "add", description: "Adds.", inputSchema: { type: "object" }, title: "Add" },
    { name: "b", description: "", inputSchema: { type: "object" } },
  ]);
  const called = await session.call("add", { a: 1 }, { timeoutS: 5 });
  assert.deepEqual([called.reward, called.done, called.observation.result?.data], [0.5, true, { a: 1 }]);
  assert.deepEqual(await session.callTool("add", { a: 2 }), { a: 2 });
  assert.deepEqual(
    server.asked("step").map(({ action, timeout_s }) => [action, timeout_s]),
    [
      [{ type: "list_tools" }, undefined],
      [{ type: "call_tool", tool_name: "add", arguments: { a: 1 } }, 5],
      [{ type: "call_tool", tool_name: "add", arguments: { a: 2 } }, undefined],
    ],
  );
  await assert.rejects(session.call(""), LocalProtocolError);
  await connection.close();
});

test("a tool that asks is called again with the answers", async () => {
  const server = tooled();
  const connection = await connected(server);
  const session = await connection.open();
  const capabilities = { elicitation: {} };
  await assert.rejects(session.call("ask", {}, { capabilities }), (error) => {
    assert.ok(error instanceof InputNeeded);
    assert.deepEqual(Object.keys(error.details["requests"] as object), ["name"]);
    return true;
  });
  const inputs = { name: { action: "accept", content: {} } };
  await session.call("ask", {}, { inputs, capabilities });
  assert.deepEqual(server.asked("step").at(-1)?.["action"], {
    type: "call_tool",
    tool_name: "ask",
    arguments: {},
    inputs,
    capabilities,
  });
  await connection.close();
});

test("the value of a call", () => {
  const value = (told: Partial<NonNullable<ToolObservation["result"]>>) =>
    valueOf("t", { tool_name: "t", result: result(told), error: null });
  assert.equal(value({ data: 0 }), 0);
  assert.equal(value({ data: false }), false);
  assert.deepEqual(value({ structured_content: { x: 1 }, content: [TEXT] }), { x: 1 });
  assert.equal(value({ content: [TEXT, { type: "text", text: "b" }] }), "a\nb");
  assert.deepEqual(value({ content: [TEXT, { type: "image" }] }), [TEXT, { type: "image" }]);
  assert.equal(value({}), null);
  assert.equal(value({ content: null }), null);
  assert.equal(valueOf("t", { tool_name: "t", result: null, error: null }), null);
  const isFailure = (message: string, kind: string) => (error: unknown) => {
    assert.ok(error instanceof ExecutionFailed);
    assert.deepEqual([error.message, error.details], [message, { tool: "t", error_type: kind }]);
    return true;
  };
  assert.throws(() => value({ is_error: true, content: [TEXT] }), isFailure("Tool 't' failed: a", "execution_error"));
  const error = { error_type: "invalid_args", message: "x: needed" };
  const refused = { tool_name: "t", result: null, error };
  assert.throws(() => valueOf("t", refused), isFailure("Tool 't' failed: x: needed", "invalid_args"));
});

test("an environment without tools is told as that", () => {
  for (const observation of [{}, { tools: 5 }, { tools: [5] }, null, "x"]) {
    assert.throws(() => toolsOf(observation), RemoteProtocolError);
  }
});

test("the outcome of an episode, and access for an agent", async () => {
  const connection = await connected(tooled());
  const session = await connection.open();
  assert.deepEqual(await session.outcome(), {
    phase: "running",
    episodeId: null,
    steps: 3,
    reward: null,
    totalReward: 0.5,
    done: false,
    terminated: false,
    truncated: false,
  });
  const access = await session.agentAccess();
  assert.equal(access.mcpUrl, `http://server:8000/sessions/${session.id}/mcp`);
  const entry = { type: "http", url: access.mcpUrl, headers: { Authorization: "Bearer t" } };
  assert.deepEqual(access.clientConfig(), { mcpServers: { env: entry } });
  assert.deepEqual(access.clientConfig("maze"), { mcpServers: { maze: entry } });
  await connection.close();
});

test("a server that cannot is not asked", async () => {
  const server = new ScriptedServer();
  const connection = await connected(server);
  const session = await connection.open();
  await assert.rejects(session.outcome(), LocalProtocolError);
  await assert.rejects(session.agentAccess(), LocalProtocolError);
  assert.equal(server.asked("outcome").length + server.asked("grant_agent").length, 0);
  await connection.close();
});

test("the URL for an agent is as the client reaches the server", () => {
  for (const [socket, granted, url] of [
    ["ws://localhost:8000/ws", "/sessions/s/mcp", "http://localhost:8000/sessions/s/mcp"],
    ["wss://host/base/ws?a=1", "/sessions/s/mcp", "https://host/base/sessions/s/mcp"],
    ["ws://localhost:8000/ws", ":9000/sessions/s/mcp", "http://localhost:9000/sessions/s/mcp"],
    ["ws://localhost:8000/ws", "http://other:1/mcp", "http://other:1/mcp"],
  ] as const) {
    assert.equal(accessOf(socket, granted, "").mcpUrl, url);
  }
});

test("a token is sent in a header, and none otherwise", async () => {
  const server = new ScriptedServer();
  const made: unknown[] = [];
  const Plain = server.socketClass;
  const Noting = class {
    constructor(url: string, init: string[] | { protocols: string[] }) {
      made.push(init);
      return new Plain(url, Array.isArray(init) ? init : init.protocols) as never;
    }
  } as unknown as WebSocketClass;
  const protocols = ["openenv.v2.msgpack", "openenv.v2.json"];
  await (await connected(server, { WebSocket: Noting })).close();
  await (await connected(server, { WebSocket: Noting, token: "s3cret" })).close();
  assert.deepEqual(made, [protocols, { protocols, headers: { Authorization: "Bearer s3cret" } }]);
  for (const token of ["", "a b", "ä", "a\n"]) {
    await assert.rejects(connected(server, { token }), ConfigurationError);
  }
});
