/** The errors of OpenEnv: one class for each code that may come over the wire or be raised by this client. */

/** Facts about an error, for programs. */
export type Details = Readonly<Record<string, unknown>>;

/** What every error of this package is. Also raised itself, for codes that this version does not know. */
export class OpenEnvError extends Error {
  /** Stable name of the condition, such as `EPISODE_LOST`. */
  readonly code: string;
  /** Whether the same request may succeed later. */
  readonly retryable: boolean;
  readonly details: Details;

  constructor(message: string, code = "INTERNAL", details: Details = {}, retryable = false) {
    super(message);
    this.name = new.target.name;
    this.code = code;
    this.details = details;
    this.retryable = retryable;
  }
}

/** An option or an argument makes no sense. */
export class ConfigurationError extends OpenEnvError {}

/** A frame broke the protocol. */
export class ProtocolError extends OpenEnvError {}
/** This side was about to break the protocol; nothing was sent. */
export class LocalProtocolError extends ProtocolError {
  constructor(message: string, code = "LOCAL_PROTOCOL_ERROR", details: Details = {}, retryable = false) {
    super(message, code, details, retryable);
  }
}
/** The server broke the protocol. */
export class RemoteProtocolError extends ProtocolError {
  constructor(message: string, code = "REMOTE_PROTOCOL_ERROR", details: Details = {}, retryable = false) {
    super(message, code, details, retryable);
  }
}
export class InvalidJSON extends RemoteProtocolError {}
export class UnknownType extends RemoteProtocolError {}
/** A field of the request is missing or has the wrong type or range. */
export class InvalidRequest extends RemoteProtocolError {}
/** The message is over the server's `limits.max_message_bytes`. */
export class MessageTooLarge extends RemoteProtocolError {}
/** The request's id was acknowledged or overtaken already; it did not run again. */
export class StaleRequest extends RemoteProtocolError {}

/** The session cannot do what was asked. */
export class SessionError extends OpenEnvError {}
/** All places for sessions are taken. */
export class CapacityReached extends SessionError {
  /** Seconds after which trying again makes sense, if the server says so. */
  get retryAfterS(): number | undefined {
    const told = this.details["retry_after_s"];
    return typeof told === "number" ? told : undefined;
  }
}
export class SessionNotFound extends SessionError {}
/** Too many requests of this session are unanswered. */
export class SessionBusy extends SessionError {}
export class SessionClosed extends SessionError {}
/** The server is stopping and takes no new session. */
export class ServerDraining extends SessionError {}
/** The episode cannot be played again, so it cannot be branched. */
export class NotRestorable extends SessionError {}

/**
 * Why an episode is gone. The first line is told by servers, the second by this client. Later servers may know more.
 */
export type LossReason =
  | "lease_expired"
  | "reclaimed"
  | "idle"
  | "server_stopped"
  | "closed"
  | "gave_way"
  | "connection_lost"
  | "timeout"
  | "cancelled"
  | "message_too_large"
  | "protocol_error"
  | "session_unknown"
  | (string & {});

/** The running episode is gone; `reset()` begins another one. */
export class EpisodeLost extends SessionError {
  readonly reason: LossReason;

  constructor(message: string, code = "EPISODE_LOST", details: Details = {}, retryable = false) {
    super(message, code, details, retryable);
    this.reason = typeof details["reason"] === "string" ? details["reason"] : "unknown";
  }

  static because(reason: LossReason, message: string): EpisodeLost {
    return new EpisodeLost(message, "EPISODE_LOST", { reason });
  }
}

/** Who asks may not do that. */
export class AccessDenied extends OpenEnvError {}
/** No token was shown, or one that is wrong or has expired. */
export class Unauthorized extends AccessDenied {}
/** The role of the token does not include that, or the request came from a host or page that is not let in. */
export class Forbidden extends AccessDenied {}

/** The environment failed, or could not take what was sent to it. */
export class EnvironmentFailure extends OpenEnvError {}
/** The environment could not be built. */
export class FactoryFailed extends EnvironmentFailure {}
/** The action, or an argument, does not fit; the environment did not move. `details.errors` has one entry a field. */
export class ActionInvalid extends EnvironmentFailure {}
/** A tool asks its caller something first; nothing has happened. `details.requests` says what, by name. */
export class InputNeeded extends ActionInvalid {}
/** `step` before `reset`. */
export class ResetNeeded extends EnvironmentFailure {}
/** `step` after the episode's end. */
export class EpisodeDone extends EnvironmentFailure {}
/** The environment's own code raised. */
export class ExecutionFailed extends EnvironmentFailure {}
/** The environment did not answer within the time that was asked for. */
export class StepTimeout extends EnvironmentFailure {}
/** The step has counted, but what the environment returned has no encoding; `details` has what could be read. */
export class ObservationInvalid extends EnvironmentFailure {}
/** The step has counted, but its reward is not a finite number; `details` has `done` and `observation`. */
export class RewardInvalid extends EnvironmentFailure {}

/** Tools of another server that the environment mounts cannot be reached, or are not what they were. */
export class ToolsetUnavailable extends EnvironmentFailure {}

/** The way between client and server failed. */
export class TransportError extends OpenEnvError {
  constructor(message: string, code = "TRANSPORT_ERROR", details: Details = {}, retryable = true) {
    super(message, code, details, retryable);
  }
}
/** The server could not be reached. */
export class ConnectFailed extends TransportError {
  constructor(message: string, code = "CONNECT_FAILED", details: Details = {}, retryable = true) {
    super(message, code, details, retryable);
  }
}
/** The connection broke while no episode was running. */
export class ConnectionLost extends TransportError {
  constructor(message: string, code = "CONNECTION_LOST", details: Details = {}, retryable = true) {
    super(message, code, details, retryable);
  }
}
/** No answer came in time. */
export class RequestTimeout extends TransportError {
  constructor(message: string, code = "REQUEST_TIMEOUT", details: Details = {}, retryable = true) {
    super(message, code, details, retryable);
  }
}

type ErrorClass = new (message: string, code: string, details: Details, retryable: boolean) => OpenEnvError;

/** The class of each code. */
export const ERRORS: Readonly<Record<string, ErrorClass>> = {
  INTERNAL: OpenEnvError,
  CONFIGURATION_ERROR: ConfigurationError,
  PROTOCOL_ERROR: ProtocolError,
  LOCAL_PROTOCOL_ERROR: LocalProtocolError,
  REMOTE_PROTOCOL_ERROR: RemoteProtocolError,
  INVALID_JSON: InvalidJSON,
  UNKNOWN_TYPE: UnknownType,
  INVALID_REQUEST: InvalidRequest,
  MESSAGE_TOO_LARGE: MessageTooLarge,
  STALE_REQUEST: StaleRequest,
  SESSION_ERROR: SessionError,
  CAPACITY_REACHED: CapacityReached,
  SESSION_NOT_FOUND: SessionNotFound,
  BUSY: SessionBusy,
  SESSION_CLOSED: SessionClosed,
  SERVER_DRAINING: ServerDraining,
  NOT_RESTORABLE: NotRestorable,
  EPISODE_LOST: EpisodeLost,
  ACCESS_DENIED: AccessDenied,
  UNAUTHORIZED: Unauthorized,
  FORBIDDEN: Forbidden,
  ENVIRONMENT_ERROR: EnvironmentFailure,
  FACTORY_ERROR: FactoryFailed,
  VALIDATION_ERROR: ActionInvalid,
  INPUT_NEEDED: InputNeeded,
  RESET_NEEDED: ResetNeeded,
  EPISODE_DONE: EpisodeDone,
  EXECUTION_ERROR: ExecutionFailed,
  STEP_TIMEOUT: StepTimeout,
  OBSERVATION_INVALID: ObservationInvalid,
  REWARD_INVALID: RewardInvalid,
  TOOLSET_UNAVAILABLE: ToolsetUnavailable,
  TRANSPORT_ERROR: TransportError,
  CONNECT_FAILED: ConnectFailed,
  CONNECTION_LOST: ConnectionLost,
  REQUEST_TIMEOUT: RequestTimeout,
};

/** The error of a code; a plain `OpenEnvError` that names the code if this version does not know it. */
export function errorFrom(code: string, message: string, details: Details, retryable: boolean): OpenEnvError {
  const known = Object.hasOwn(ERRORS, code) ? ERRORS[code] : undefined;
  if (known === undefined) return new OpenEnvError(`${code}: ${message}`, code, details, retryable);
  return new known(message, code, details, retryable);
}
