/// <reference lib="esnext.disposable" preserve="true" />
/** A session: the life of one environment on the server, driven by reset, step and state. */

import type { AgentAccess } from "./agent.ts";
import { accessOf } from "./agent.ts";
import { EpisodeLost, LocalProtocolError, RemoteProtocolError } from "./errors.ts";
import type { Life } from "./life.ts";
import type { Frame, Observed, Reply, Request } from "./messages.ts";
import { seconds } from "./options.ts";
import { callOf, outcomeOf, toolsOf, valueOf } from "./tools.ts";
import type { CallOptions, EpisodeOutcome, ToolInfo, ToolObservation } from "./tools.ts";

/** The types of an environment, as `openenv-types` writes them. */
export interface EnvTypes {
  readonly action: unknown;
  readonly observation: unknown;
  readonly state: unknown;
}

/** An environment of which nothing is known. */
export interface AnyEnv {
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly action: any;
  readonly observation: any;
  readonly state: any;
}

export interface OpenOptions {
  /** Seconds to wait for a place if all are taken. Default 0: not at all. */
  readonly queueTimeoutS?: number;
  /** Called while it waits, with its place in the queue; 1 is next. */
  readonly onQueued?: (position: number) => void;
  /** Called when the episode is lost, whether or not something was asked just then. */
  readonly onEnded?: (loss: EpisodeLost) => void;
}

/** Limits of one request. When it is over them, the episode is given up: EpisodeLost. */
export interface RequestOptions {
  readonly timeoutS?: number;
  readonly signal?: AbortSignal;
}

export interface ResetOptions extends RequestOptions {
  /** Of everything random in the episode: an integer from 0 to 2**63 - 1. */
  readonly seed?: number | bigint;
  readonly episodeId?: string;
  /** Further arguments of the environment's `reset`. */
  readonly options?: Readonly<Record<string, unknown>>;
}

export interface StepOptions extends RequestOptions {
  /** Further arguments of the environment's `step`. */
  readonly options?: Readonly<Record<string, unknown>>;
}

/** What `reset` and `step` return. */
export interface StepResult<O> {
  readonly observation: O;
  readonly reward: number | boolean | null;
  /** `terminated` or `truncated`. */
  readonly done: boolean;
  /** The task came to its own end. */
  readonly terminated: boolean;
  /** The episode was cut from outside. */
  readonly truncated: boolean;
  readonly metadata: Readonly<Record<string, unknown>>;
  /** Of a reset: the seed really used, where known. */
  readonly seed: number | bigint | null;
  /** Of a reset: the name of the episode, where known. */
  readonly episodeId: string | null;
}

/** What a session needs of its connection. */
export interface Carrier {
  /** Open another session for it. */
  begin(): Promise<Life>;
  /** Send a frame; if there is no connection now, the session's requests go out when there is one again. */
  send(frame: Frame): void;
  /** See to it that there is a connection again. */
  wake(): void;
  /** Whether the server has an optional part of the protocol. */
  has(feature: string): boolean;
  readonly url: string;
  readonly messageTimeoutS: number | undefined;
}

/** Made by `Connection.open`. Requests run in the order in which they are made, also without waiting for each other. */
export class Session<E extends EnvTypes = AnyEnv> {
  readonly #carrier: Carrier;
  readonly #onEnded: ((loss: EpisodeLost) => void) | undefined;
  #life: Life;
  #reopening: Promise<void> | undefined;

  /** Use `Connection.open`. */
  constructor(life: Life, options: OpenOptions, carrier: Carrier) {
    this.#carrier = carrier;
    this.#onEnded = options.onEnded;
    this.#life = this.#watched(life);
  }

  /** The server's name for it. Another one after a `reset` that followed a lost episode. */
  get id(): string {
    return this.#life.session;
  }

  /** Why the episode is lost; undefined if it is not. */
  get loss(): EpisodeLost | undefined {
    return this.#life.loss instanceof EpisodeLost ? this.#life.loss : undefined;
  }

  /** Begin an episode. After an EpisodeLost on a new session, which is opened first. */
  async reset(given: ResetOptions = {}): Promise<StepResult<E["observation"]>> {
    if (this.loss !== undefined) {
      this.#reopening ??= this.#reopen().finally(() => (this.#reopening = undefined));
      await this.#reopening;
    }
    const { seed, episodeId, options } = given;
    const request: Request = {
      type: "reset",
      ...(seed !== undefined && { seed }),
      ...(episodeId !== undefined && { episode_id: episodeId }),
      ...(options !== undefined && { options }),
    };
    return resultOf(expect("observation", await this.#ask(request, given)));
  }

  /** Take an action. Throws an ActionInvalid if it does not fit: the environment has not moved then. */
  async step(action: E["action"], given: StepOptions = {}): Promise<StepResult<E["observation"]>> {
    const { timeoutS, options } = given;
    const request: Request = {
      type: "step",
      action,
      ...(timeoutS !== undefined && { timeout_s: timeoutS }),
      ...(options !== undefined && { options }),
    };
    return resultOf(expect("observation", await this.#ask(request, given)));
  }

  /** Where the episode stands. */
  async state(given: RequestOptions = {}): Promise<E["state"]> {
    return expect("state", await this.#ask({ type: "state" }, given)).state;
  }

  /** What has come of the episode so far, whoever took its steps. */
  async outcome(given: RequestOptions = {}): Promise<EpisodeOutcome> {
    return outcomeOf(expect("outcome", await this.#askFor("outcome", { type: "outcome" }, given)));
  }

  /** What an agent needs to play the running episode over MCP, or the first if none was begun. */
  async agentAccess(given: RequestOptions = {}): Promise<AgentAccess> {
    const granted = expect("agent_granted", await this.#askFor("agent", { type: "grant_agent" }, given));
    return accessOf(this.#carrier.url, granted.mcp_url, granted.token);
  }

  /** The tools of an environment that has some. That is no step, and legal before a reset too. */
  async listTools(given: RequestOptions = {}): Promise<readonly ToolInfo[]> {
    const reply = await this.#ask({ type: "step", action: { type: "list_tools" } }, given);
    return toolsOf(expect("observation", reply).observation);
  }

  /** Call a tool: a step, also where the tool fails or there is none of that name. */
  async call(
    name: string,
    args: Readonly<Record<string, unknown>> = {},
    given: CallOptions = {},
  ): Promise<StepResult<ToolObservation>> {
    const { timeoutS } = given;
    const request: Request = {
      type: "step",
      action: callOf(name, args, given),
      ...(timeoutS !== undefined && { timeout_s: timeoutS }),
    };
    return resultOf(expect("observation", await this.#ask(request, given)));
  }

  /** Call a tool and give what it returned. Throws an ExecutionFailed if it failed; `details.error_type` says how. */
  async callTool(
    name: string,
    args: Readonly<Record<string, unknown>> = {},
    given: CallOptions = {},
  ): Promise<unknown> {
    return valueOf(name, (await this.call(name, args, given)).observation);
  }

  /** End the session. Safe to call twice, and after the episode was lost. */
  close(): Promise<void> {
    const life = this.#life;
    const closed = life.close((frame) => this.#carrier.send(frame));
    if (life.isWaiting && !life.isAttached) this.#carrier.wake();
    return closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #askFor(feature: string, request: Request, given: RequestOptions): Promise<Reply> {
    if (this.#carrier.has(feature)) return this.#ask(request, given);
    return Promise.reject(new LocalProtocolError(`this server is older and has no "${feature}"`));
  }

  async #reopen(): Promise<void> {
    this.#life = this.#watched(await this.#carrier.begin());
  }

  #watched(life: Life): Life {
    life.onover = (loss) => {
      if (loss !== undefined && life === this.#life) this.#onEnded?.(loss);
    };
    return life;
  }

  async #ask(request: Request, { timeoutS, signal }: RequestOptions): Promise<Reply> {
    const limitS = timeoutS ?? this.#carrier.messageTimeoutS;
    if (limitS !== undefined) seconds("timeoutS", limitS, 0);
    signal?.throwIfAborted();
    const life = this.#life;
    const giveUp = (reason: string, message: string) =>
      life.giveUp(EpisodeLost.because(reason, message), (frame) => this.#carrier.send(frame));
    const reply = life.ask(request, (frame) => this.#carrier.send(frame));
    if (life.isWaiting && !life.isAttached) this.#carrier.wake(); // it goes out once the connection is back
    const late = () => giveUp("timeout", `no answer to ${request.type} within ${limitS} s; the episode is given up`);
    const timer = limitS === undefined ? undefined : setTimeout(late, limitS * 1000);
    const aborted = () => giveUp("cancelled", `${request.type} was cancelled; the episode is given up`);
    signal?.addEventListener("abort", aborted);
    try {
      return await reply;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", aborted);
    }
  }
}

function expect<T extends Reply["type"]>(type: T, reply: Reply): Extract<Reply, { type: T }> {
  if (reply.type !== type) throw new RemoteProtocolError(`the server answered with ${reply.type} instead of ${type}`);
  return reply as Extract<Reply, { type: T }>;
}

function resultOf(reply: Observed): StepResult<never> {
  return {
    observation: reply.observation as never,
    reward: reply.reward ?? null,
    done: reply.done,
    terminated: reply.terminated ?? reply.done,
    truncated: reply.truncated ?? false,
    metadata: reply.metadata ?? {},
    seed: reply.seed ?? null,
    episodeId: reply.episode_id ?? null,
  };
}
