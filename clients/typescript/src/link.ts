/** One WebSocket, from its handshake and the server's greeting to its end. */

import { ConnectFailed, RemoteProtocolError } from "./errors.ts";
import type { OpenEnvError } from "./errors.ts";
import { CODECS } from "./messages.ts";
import type { Codec, Frame, Hello, Reply } from "./messages.ts";

/** The part of the platform's WebSocket that is used. */
export interface WebSocketLike {
  binaryType: string;
  readonly protocol: string;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  send(data: string | Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
}

/** What a WebSocket is made with where there are headers to send. */
export interface WebSocketInit {
  readonly protocols: string[];
  readonly headers: Readonly<Record<string, string>>;
}

export type WebSocketClass = new (url: string, protocols: string[] | WebSocketInit) => WebSocketLike;

/** Why a link is gone. `isEstablished` tells whether it once stood, or the server was not reached at all. */
export interface Loss {
  readonly reason: "connection_lost" | "server_stopped" | "message_too_large" | "protocol_error";
  readonly error: OpenEnvError;
  readonly isEstablished: boolean;
}

export interface LinkEvents {
  /** The server has greeted; requests may be sent. */
  onhello(hello: Hello): void;
  onreply(reply: Reply): void;
  /** It is gone. Comes once, and nothing after it. */
  onloss(loss: Loss): void;
}

const REASONS: Readonly<Record<number, Loss["reason"]>> = {
  1001: "server_stopped",
  1002: "protocol_error",
  1003: "protocol_error",
  1007: "protocol_error",
  1009: "message_too_large",
  1012: "server_stopped",
};

export class Link {
  readonly #socket: WebSocketLike;
  readonly #url: string;
  readonly #events: LinkEvents;
  readonly #greetingTimer: ReturnType<typeof setTimeout>;
  #codec: Codec = CODECS.json;
  #isEstablished = false;
  #isGreeted = false;
  #isOver = false;

  constructor(
    socketClass: WebSocketClass,
    url: string,
    subprotocols: readonly string[],
    timeoutS: number,
    token: string | undefined,
    events: LinkEvents,
  ) {
    this.#url = url;
    this.#events = events;
    this.#greetingTimer = setTimeout(() => this.drop(`no greeting within ${timeoutS} s`), timeoutS * 1000);
    try {
      const protocols = [...subprotocols];
      const headers = { Authorization: `Bearer ${token}` };
      this.#socket = new socketClass(url, token === undefined ? protocols : { protocols, headers });
    } catch (error) {
      // a URL or a class that the platform does not take
      clearTimeout(this.#greetingTimer);
      throw new ConnectFailed(`cannot connect to ${url}: ${error instanceof Error ? error.message : String(error)}`);
    }
    this.#socket.binaryType = "arraybuffer";
    this.#socket.onopen = () => this.#opened();
    this.#socket.onmessage = (event: { data: unknown }) => this.#received(event.data);
    // node sends no close after a handshake that failed; where one follows, it tells no more than the error
    this.#socket.onerror = (event: { message?: string }) =>
      this.#lose("connection_lost", event.message || "the network failed");
    this.#socket.onclose = (event: { code: number; reason: string }) =>
      this.#lose(REASONS[event.code] ?? "connection_lost", `closed with ${event.code} ${event.reason}`.trim());
  }

  get codec(): Codec {
    return this.#codec;
  }

  send(frame: Frame): void {
    if (!this.#isOver) this.#socket.send(frame);
  }

  /** End it from this side, without an `onloss`. */
  close(): void {
    this.#finish();
    this.#socket.close(1000);
  }

  /** Give it up as lost. */
  drop(why: string): void {
    this.#lose("connection_lost", why);
    this.#socket.close();
  }

  #opened(): void {
    this.#isEstablished = true;
    const codec = Object.values(CODECS).find(({ subprotocol }) => subprotocol === this.#socket.protocol);
    if (codec === undefined) {
      this.#lose("protocol_error", "the server speaks only protocol v1; this client needs OpenEnv 1.0 or later");
      this.#socket.close();
    } else {
      this.#codec = codec;
    }
  }

  #received(data: unknown): void {
    if (this.#isOver) return;
    let reply: Reply | undefined;
    try {
      reply = this.#codec.decode(data);
      if (!this.#isGreeted && reply?.type !== "hello") throw new RemoteProtocolError("the first frame is no greeting");
    } catch (error) {
      this.#lose("protocol_error", (error as Error).message);
      this.#socket.close();
      return;
    }
    if (reply?.type === "hello") {
      if (this.#isGreeted) return;
      this.#isGreeted = true;
      clearTimeout(this.#greetingTimer);
      this.#events.onhello(reply);
    } else if (reply !== undefined) {
      this.#events.onreply(reply);
    }
  }

  #lose(reason: Loss["reason"], why: string): void {
    if (this.#isOver) return;
    this.#finish();
    const message = `${this.#isEstablished ? "lost the connection to" : "cannot connect to"} ${this.#url}: ${why}`;
    const error = reason === "protocol_error" ? new RemoteProtocolError(message) : new ConnectFailed(message);
    this.#events.onloss({ reason, error, isEstablished: this.#isEstablished });
  }

  #finish(): void {
    this.#isOver = true;
    clearTimeout(this.#greetingTimer);
  }
}
