// Plays the workshop with the TypeScript SDK 2.x, in the era of 2026-07-28; prints what it saw as JSON.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";

const [target, token] = process.argv.slice(2);
const client = new Client(
  { name: "ts2", version: "1.0.0" },
  { versionNegotiation: { mode: "auto" }, capabilities: { elicitation: { form: {} } } },
);
client.setRequestHandler("elicitation/create", () => ({ action: "accept", content: { name: "Ada" } }));
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
await client.callTool({ name: "work", arguments: { steps: 3 } }, {
  onprogress: ({ progress: done, total }) => progress.push([done, total]),
});
const greeted = await client.callTool({ name: "greet", arguments: {} });
const read = await client.readResource({ uri: "workshop://rules" });
const asked = await client.getPrompt({ name: "begin_work", arguments: { who: "you" } });
console.log(
  JSON.stringify({
    protocol: client.getNegotiatedProtocolVersion(),
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
