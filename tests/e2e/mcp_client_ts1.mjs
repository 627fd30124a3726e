// Plays the workshop with the TypeScript SDK 1.x; prints what it saw as JSON.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ElicitRequestSchema } from "@modelcontextprotocol/sdk/types.js";

const [target, token] = process.argv.slice(2);
const client = new Client({ name: "ts1", version: "1.0.0" }, { capabilities: { elicitation: {} } });
client.setRequestHandler(ElicitRequestSchema, () => ({ action: "accept", content: { name: "Ada" } }));
let transport;
if (target.startsWith("http")) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  transport = new StreamableHTTPClientTransport(new URL(target), { requestInit: { headers } });
} else {
  const [command, ...args] = JSON.parse(target);
  transport = new StdioClientTransport({ command, args });
}
await client.connect(transport);
const progress = [];
const tools = await client.listTools();
const added = await client.callTool({ name: "add", arguments: { a: 2, b: 3 } });
const broken = await client.callTool({ name: "break_off", arguments: {} });
const wrong = await client.callTool({ name: "add", arguments: { a: "two" } });
const unknown = await client.callTool({ name: "no_such_tool", arguments: {} }).then(
  () => 0,
  (error) => error.code,
);
await client.callTool({ name: "work", arguments: { steps: 3 } }, undefined, {
  onprogress: ({ progress: done, total }) => progress.push([done, total]),
});
const greeted = await client.callTool({ name: "greet", arguments: {} });
const read = await client.readResource({ uri: "workshop://rules" });
const asked = await client.getPrompt({ name: "begin_work", arguments: { who: "you" } });
console.log(
  JSON.stringify({
    protocol: transport.protocolVersion ?? null,
    server: client.getServerVersion()?.name,
    tools: tools.tools.map((tool) => tool.name).sort(),
    structured: added.structuredContent,
    text: added.content[0].text,
    broken: [broken.isError, broken.content[0].text],
    wrong: wrong.isError,
    unknown,
    progress,
    greeting: greeted.content[0].text,
    resource: read.contents[0].text,
    prompt: asked.messages[0].content.text,
  }),
);
await client.close();
