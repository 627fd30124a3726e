/** The messages of protocol v2, and the two forms in which they travel. */

import { RemoteProtocolError } from "./errors.ts";
import { fromJsonText, toJsonText } from "./json.ts";
import { fromMsgpack, toMsgpack } from "./msgpack.ts";

/** What a client asks. `session`, `id` and `ack` are added by who sends it. */
export type Request =
  | { readonly type: "open"; readonly nonce: string; readonly queue_timeout_s?: number }
  | { readonly type: "resume"; readonly session: string; readonly token: string }
  | {
      readonly type: "reset";
      readonly seed?: number | bigint;
      readonly episode_id?: string;
      readonly options?: Readonly<Record<string, unknown>>;
    }
  | {
      readonly type: "step";
      readonly action: unknown;
      readonly timeout_s?: number;
      readonly options?: Readonly<Record<string, unknown>>;
    }
  | { readonly type: "state" }
  | { readonly type: "outcome" }
  | { readonly type: "grant_agent" }
  | { readonly type: "close" };

/** What a server allows. */
export interface Limits {
  readonly max_message_bytes: number;
  readonly capacity: number;
  readonly default_timeout_s: number | null;
  readonly max_timeout_s: number | null;
  readonly lease_s: number;
}

/** The server's first frame. */
export interface Hello {
  readonly type: "hello";
  readonly session: string;
  readonly id: number;
  readonly protocol: string;
  readonly library: string;
  readonly environment: string;
  readonly environment_version: string | null;
  readonly features: readonly string[];
  readonly limits: Limits;
}

interface Addressed {
  readonly session: string;
  readonly id: number;
}

export interface Observed extends Addressed {
  readonly type: "observation";
  readonly observation: unknown;
  readonly reward: number | boolean | null;
  readonly done: boolean;
  readonly terminated: boolean;
  readonly truncated: boolean;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly seed: number | bigint | null;
  readonly episode_id: string | null;
}

export interface Failed extends Addressed {
  readonly type: "error";
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
  readonly details: Readonly<Record<string, unknown>>;
}

export interface Opened extends Addressed {
  readonly type: "opened";
  readonly nonce: string;
  readonly token: string;
  readonly lease_s: number;
  readonly mcp_url?: string;
  readonly agent_token?: string;
}

export interface OutcomeIs extends Addressed {
  readonly type: "outcome";
  readonly phase: string;
  readonly episode_id: string | null;
  readonly steps: number;
  readonly reward: number | boolean | null;
  readonly total_reward: number;
  readonly done: boolean;
  readonly terminated: boolean;
  readonly truncated: boolean;
}

export type Reply =
  | Hello
  | Opened
  | (Addressed & { readonly type: "resumed"; readonly last_id: number; readonly lease_s: number })
  | (Addressed & { readonly type: "queued"; readonly nonce: string; readonly position: number })
  | (Addressed & { readonly type: "progress"; readonly elapsed_s: number })
  | Observed
  | (Addressed & { readonly type: "state"; readonly state: unknown })
  | OutcomeIs
  | (Addressed & { readonly type: "agent_granted"; readonly mcp_url: string; readonly token: string })
  | (Addressed & { readonly type: "closed" })
  | (Addressed & { readonly type: "ended"; readonly reason: string; readonly message: string })
  | Failed;

export type Frame = string | Uint8Array<ArrayBuffer>;

/** A form of the messages. */
export interface Codec {
  /** The WebSocket subprotocol that agrees on it. */
  readonly subprotocol: string;
  /** Throws a LocalProtocolError if a value in the message cannot be sent. */
  encode(message: object): Frame;
  /** Undefined for a message of a type that this version does not know. Throws a RemoteProtocolError. */
  decode(frame: unknown): Reply | undefined;
}

const JSON_CODEC: Codec = {
  subprotocol: "openenv.v2.json",
  encode: (message) => toJsonText(message),
  decode: (frame) => read(frame, typeof frame === "string", () => fromJsonText(frame as string)),
};

const MSGPACK_CODEC: Codec = {
  subprotocol: "openenv.v2.msgpack",
  encode: (message) => toMsgpack(message),
  decode: (frame) => read(frame, frame instanceof ArrayBuffer, () => fromMsgpack(new Uint8Array(frame as ArrayBuffer))),
};

/** The forms by the names that a user gives them. */
export const CODECS = { msgpack: MSGPACK_CODEC, json: JSON_CODEC } as const;

export type Encoding = keyof typeof CODECS;

/** The fields that a reply of each type has to have, and their JavaScript types. */
const NEEDED: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  hello: { protocol: "string", library: "string", environment: "string", features: "object", limits: "object" },
  opened: { nonce: "string", token: "string" },
  resumed: {},
  queued: { nonce: "string", position: "number" },
  progress: { elapsed_s: "number" },
  observation: { observation: "object", done: "boolean" },
  state: {},
  outcome: { phase: "string", steps: "number", total_reward: "number", done: "boolean" },
  agent_granted: { mcp_url: "string", token: "string" },
  closed: {},
  ended: { reason: "string", message: "string" },
  error: { code: "string", message: "string" },
};

function read(frame: unknown, isRightKind: boolean, decode: () => unknown): Reply | undefined {
  if (!isRightKind) throw new RemoteProtocolError(`a frame of the wrong kind: ${typeof frame}`);
  let value: unknown;
  try {
    value = decode();
  } catch (error) {
    throw new RemoteProtocolError(`a frame cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (typeof value !== "object" || value === null) throw new RemoteProtocolError("a frame is no object");
  const { type, session = "", id = 0, ...rest } = value as Record<string, unknown>;
  if (typeof type !== "string" || typeof session !== "string" || typeof id !== "number") {
    throw new RemoteProtocolError("a frame without type, session and id");
  }
  const needed = Object.hasOwn(NEEDED, type) ? NEEDED[type] : undefined;
  if (needed === undefined) return undefined;
  for (const [name, kind] of Object.entries(needed)) {
    if (typeof rest[name] !== kind || rest[name] === null) {
      throw new RemoteProtocolError(`${name} of ${type} is missing or not of type ${kind}`);
    }
  }
  if (type === "error") return { retryable: false, details: {}, ...rest, type, session, id } as unknown as Failed;
  return { ...rest, type, session, id } as unknown as Reply;
}
