/** What an agent needs to play an episode over MCP. */

/** How an agent reaches one episode. It gets tools, resources and prompts; never reset, never reward. */
export interface AgentAccess {
  /** The endpoint, Streamable HTTP. */
  readonly mcpUrl: string;
  /** What to show there as a bearer token. A secret, good until the next reset. */
  readonly token: string;
  /** What most agents read as JSON; `name` is what the agent calls the server. */
  clientConfig(name?: string): { readonly mcpServers: Readonly<Record<string, McpServer>> };
}

export interface McpServer {
  readonly type: "http";
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** The access that a server granted, with its URL as this client reaches it. */
export function accessOf(socketUrl: string, granted: string, token: string): AgentAccess {
  const server = new URL(socketUrl);
  server.protocol = server.protocol === "wss:" ? "https:" : "http:";
  server.search = "";
  server.pathname = server.pathname.replace(/ws$/, "");
  let path = granted;
  const ownPort = /^:(\d{1,5})(\/.*)$/.exec(granted);
  if (ownPort !== null) {
    server.port = ownPort[1]!;
    server.pathname = "/";
    path = ownPort[2]!;
  }
  const mcpUrl = new URL(path.replace(/^\//, ""), server).href;
  const entry: McpServer = { type: "http", url: mcpUrl, headers: token ? { Authorization: `Bearer ${token}` } : {} };
  return { mcpUrl, token, clientConfig: (name = "env") => ({ mcpServers: { [name]: entry } }) };
}
