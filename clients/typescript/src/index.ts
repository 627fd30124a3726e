/** Drives OpenEnv environments over WebSocket. */

export type { AgentAccess, McpServer } from "./agent.ts";
export { Connection, connect } from "./connection.ts";
export type { Dtype, NumberArray } from "./dtype.ts";
export * from "./errors.ts";
export type { WebSocketClass, WebSocketInit, WebSocketLike } from "./link.ts";
export type { Encoding, Hello, Limits } from "./messages.ts";
export type { ConnectOptions } from "./options.ts";
export { Session } from "./session.ts";
export type {
  AnyEnv,
  EnvTypes,
  OpenOptions,
  RequestOptions,
  ResetOptions,
  StepOptions,
  StepResult,
} from "./session.ts";
export type { CallOptions, EpisodeOutcome, ToolInfo, ToolObservation } from "./tools.ts";
export {
  Complex,
  DateTime,
  Decimal,
  Float,
  FrozenSet,
  ImageValue,
  NDArray,
  NumpyScalar,
  Path,
  PlainDate,
  PlainTime,
  TimeDelta,
  Tuple,
  Uuid,
} from "./values.ts";
export type { ArrayData } from "./values.ts";
