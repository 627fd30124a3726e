/** What a user may set about a connection. */

import { ConfigurationError } from "./errors.ts";
import type { WebSocketClass } from "./link.ts";
import { CODECS } from "./messages.ts";
import type { Encoding } from "./messages.ts";

export interface ConnectOptions {
  /** Forms of the messages to offer, best first. The server picks one. Default: msgpack, then JSON. */
  readonly encodings?: readonly Encoding[];
  /** Seconds that the handshake, and the opening of a session, may take. Default 10. */
  readonly connectTimeoutS?: number;
  /** Seconds to go on trying after the connection broke; 0: not at all. Default 60. */
  readonly reconnectTimeoutS?: number;
  /** Seconds of silence, while an answer is awaited, after which the server is asked if it is there. Default 20. */
  readonly livenessTimeoutS?: number;
  /** Seconds to wait for any answer; then the episode is given up. Default: none. */
  readonly messageTimeoutS?: number;
  /**
   * What a server that was started with `--auth` wants to see. It travels in a header, which node, Deno and Bun can
   * send with a WebSocket, and browsers cannot.
   */
  readonly token?: string;
  /** The WebSocket class to use. Default: the platform's. */
  readonly WebSocket?: WebSocketClass;
  /** Numbers from 0 to 1, for the pauses between tries to connect. Default: Math.random. */
  readonly random?: () => number;
}

export interface Settings {
  readonly url: string;
  readonly subprotocols: readonly string[];
  readonly connectTimeoutS: number;
  readonly reconnectTimeoutS: number;
  readonly livenessTimeoutS: number;
  readonly messageTimeoutS: number | undefined;
  readonly token: string | undefined;
  readonly socketClass: WebSocketClass;
  readonly random: () => number;
}

const LONGEST_S = 2 ** 31 / 1000 - 1; // of a timer of the platform

/** Check and complete what the user gave. Throws a ConfigurationError. */
export function settingsOf(url: string, options: ConnectOptions): Settings {
  const encodings = options.encodings ?? ["msgpack", "json"];
  const known = encodings.filter((name) => Object.hasOwn(CODECS, name));
  if (known.length === 0 || known.length < encodings.length) {
    throw new ConfigurationError(`encodings are ${Object.keys(CODECS).join(" and ")}, not ${encodings.join(", ")}`);
  }
  const socketClass = options.WebSocket ?? (globalThis.WebSocket as unknown as WebSocketClass | undefined);
  if (socketClass === undefined) {
    throw new ConfigurationError(
      "this platform has no WebSocket; use node 22 or later, or give one as options.WebSocket",
    );
  }
  return {
    url: webSocketUrl(url),
    subprotocols: known.map((name) => CODECS[name].subprotocol),
    connectTimeoutS: seconds("connectTimeoutS", options.connectTimeoutS, 10),
    reconnectTimeoutS:
      options.reconnectTimeoutS === 0 ? 0 : seconds("reconnectTimeoutS", options.reconnectTimeoutS, 60),
    livenessTimeoutS: seconds("livenessTimeoutS", options.livenessTimeoutS, 20),
    messageTimeoutS:
      options.messageTimeoutS === undefined ? undefined : seconds("messageTimeoutS", options.messageTimeoutS, 0),
    token: tokenOf(options.token),
    socketClass,
    random: options.random ?? Math.random,
  };
}

export function seconds(name: string, value: number | undefined, otherwise: number): number {
  const found = value ?? otherwise;
  if (!(found > 0 && found <= LONGEST_S)) {
    throw new ConfigurationError(`${name} must be a number above 0 and at most ${LONGEST_S}, not ${found}`);
  }
  return found;
}

function tokenOf(token: string | undefined): string | undefined {
  if (token === undefined || /^[!-~]+$/.test(token)) return token;
  throw new ConfigurationError("a token is a text without spaces, of ASCII characters");
}

function webSocketUrl(url: string): string {
  const wrong = `${JSON.stringify(url)} is no server address; write it like http://localhost:8000`;
  let parsed: URL;
  try {
    parsed = new URL(url.trim());
  } catch {
    throw new ConfigurationError(wrong);
  }
  const scheme = { "http:": "ws:", "https:": "wss:", "ws:": "ws:", "wss:": "wss:" }[parsed.protocol];
  if (scheme === undefined) throw new ConfigurationError(wrong);
  const path = parsed.pathname.replace(/\/+$/, "").replace(/\/ws$/, "");
  return `${scheme}//${parsed.host}${path}/ws${parsed.search}`;
}
