/** A server that does what a test says, without a network. */

import { connect } from "../src/index.ts";
import type { ConnectOptions, Connection, WebSocketClass, WebSocketLike } from "../src/index.ts";

export type Message = Record<string, unknown>;

export const HELLO: Message = {
  type: "hello",
  session: "",
  id: 0,
  protocol: "openenv.v2",
  library: "1.0.0",
  environment: "counter",
  environment_version: null,
  features: ["resume", "queue"],
  limits: { max_message_bytes: 1000, capacity: 4, default_timeout_s: null, max_timeout_s: null, lease_s: 900 },
};

/** The server's end of one connection. */
export class ServerSocket implements WebSocketLike {
  binaryType = "";
  readonly protocol: string;
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  readonly offered: readonly string[];
  readonly asked: Message[] = [];
  readonly #server: ScriptedServer;
  isOpen = false;

  constructor(server: ScriptedServer, offered: readonly string[]) {
    this.#server = server;
    this.offered = offered;
    this.protocol = server.protocol;
  }

  /** Called by the client. */
  send(data: string | Uint8Array<ArrayBuffer>): void {
    const message = JSON.parse(data as string) as Message;
    this.asked.push(message);
    this.#server.onrequest(message, this);
  }

  /** Called by the client. */
  close(): void {
    this.cut(1000);
  }

  accept(hello: Message | undefined): void {
    this.isOpen = true;
    this.onopen?.({} as never);
    if (hello !== undefined) this.say(hello);
  }

  /** Send a message to the client. */
  say(message: Message): void {
    if (this.isOpen) this.onmessage?.({ data: JSON.stringify(message) } as never);
  }

  /** The connection ends. */
  cut(code = 1006): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.onclose?.({ code, reason: "" } as never);
  }

  /** As node does it: without a close. */
  refuse(): void {
    this.onerror?.({} as never);
  }
}

export class ScriptedServer {
  protocol = "openenv.v2.json";
  hello: Message | undefined = HELLO;
  /** Whether new connections are taken. */
  isUp = true;
  /** How many of the next connections end before the greeting. */
  withoutGreeting = 0;
  readonly sockets: ServerSocket[] = [];
  /** What is done with a request; opens sessions and answers everything else unless the test says otherwise. */
  onrequest: (message: Message, socket: ServerSocket) => void = (message, socket) => answer(message, socket);

  get socketClass(): WebSocketClass {
    const server = this;
    return class {
      constructor(_url: string, offered: string[]) {
        const socket = new ServerSocket(server, offered);
        server.sockets.push(socket);
        queueMicrotask(() => (server.isUp ? server.#take(socket) : socket.refuse()));
        return socket as never;
      }
    } as unknown as WebSocketClass;
  }

  #take(socket: ServerSocket): void {
    if (this.withoutGreeting > 0) {
      this.withoutGreeting--;
      socket.accept(undefined);
      socket.cut();
    } else {
      socket.accept(this.hello);
    }
  }

  get last(): ServerSocket {
    return this.sockets.at(-1)!;
  }

  /** All requests of a type, on whatever connection they came. */
  asked(type: string): Message[] {
    return this.sockets.flatMap((socket) => socket.asked).filter((message) => message["type"] === type);
  }
}

/** The answer of a server that is well. */
export function answer(message: Message, socket: ServerSocket): void {
  const { type, session, id, nonce } = message;
  const beside = {
    reward: 1,
    done: false,
    terminated: false,
    truncated: false,
    metadata: {},
    seed: null,
    episode_id: null,
  };
  if (type === "open") {
    socket.say({
      type: "opened",
      session: `s-${String(nonce)}`,
      id: 0,
      nonce,
      token: `t-${String(nonce)}`,
      lease_s: 900,
    });
  } else if (type === "resume") {
    socket.say({ type: "resumed", session, id: 0, last_id: 0, lease_s: 900 });
  } else if (type === "state") {
    socket.say({ type: "state", session, id, state: { id } });
  } else if (type === "close") {
    socket.say({ type: "closed", session, id });
  } else {
    socket.say({ type: "observation", session, id, observation: { id }, ...beside });
  }
}

/** Connect to it; without pauses between tries unless told otherwise. */
export async function connected(server: ScriptedServer, options: ConnectOptions = {}): Promise<Connection> {
  return await connect("http://server:8000", { WebSocket: server.socketClass, random: () => 0, ...options });
}
