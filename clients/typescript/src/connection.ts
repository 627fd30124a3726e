/// <reference lib="esnext.disposable" preserve="true" />
/** A connection to a server that carries many sessions, and comes back by itself when it breaks. */

import { Backoff, LONGEST_PAUSE_S } from "./backoff.ts";
import { ConnectionLost, EpisodeLost, OpenEnvError, RequestTimeout, SessionClosed, errorFrom } from "./errors.ts";
import { Life } from "./life.ts";
import { Link } from "./link.ts";
import type { Loss } from "./link.ts";
import type { Frame, Hello, Reply } from "./messages.ts";
import { settingsOf } from "./options.ts";
import type { ConnectOptions, Settings } from "./options.ts";
import { Session } from "./session.ts";
import type { AnyEnv, EnvTypes, OpenOptions } from "./session.ts";

/** An `open` that is not answered yet. */
interface Opening {
  readonly queueTimeoutS: number;
  readonly onQueued: ((position: number) => void) | undefined;
  resolve(life: Life): void;
  reject(error: OpenEnvError): void;
}

/**
 * Connect to a server. The connection, once made, comes back by itself when it breaks; this first one is not tried
 * again.
 *
 * `E` says which types the environment has; `openenv-types` writes it from the server's schema.
 *
 * Throws a ConnectFailed if the server cannot be reached, a RemoteProtocolError if it is no OpenEnv server of 1.0 or
 * later, a ConfigurationError if an option makes no sense.
 */
export async function connect<E extends EnvTypes = AnyEnv>(
  url: string,
  options: ConnectOptions = {},
): Promise<Connection<E>> {
  const connection = new Connection<E>(settingsOf(url, options));
  await connection.ready();
  return connection;
}

export class Connection<E extends EnvTypes = AnyEnv> {
  readonly #settings: Settings;
  readonly #lives = new Map<string, Life>();
  readonly #openings = new Map<string, Opening>();
  readonly #waitingForHello: { resolve(): void; reject(error: OpenEnvError): void }[] = [];
  #link: Link | undefined;
  #hello: Hello | undefined;
  #subprotocols: readonly string[];
  #backoff: Backoff | undefined; // of the tries since something was last answered
  #pause: ReturnType<typeof setTimeout> | undefined;
  #watch: ReturnType<typeof setInterval> | undefined;
  #isGreeted = false; // the link of now
  #greetedAt = 0;
  #heardAt = 0;
  #isProbed = false;
  #isClosed = false;

  /** Use `connect`. */
  constructor(settings: Settings) {
    this.#settings = settings;
    this.#subprotocols = settings.subprotocols;
  }

  /** What the server said of itself when it was last connected to. */
  get hello(): Hello {
    if (this.#hello === undefined) throw new ConnectionLost("the server has not greeted yet");
    return this.#hello;
  }

  /** Whether messages travel as msgpack or as JSON. */
  get encoding(): "msgpack" | "json" {
    return this.#subprotocols[0] === "openenv.v2.json" ? "json" : "msgpack";
  }

  /** Open a session. Throws a CapacityReached if there is no place, or none became free in `queueTimeoutS`. */
  async open(options: OpenOptions = {}): Promise<Session<E>> {
    return new Session<E>(await this.begin(options), options, {
      begin: () => this.begin(options),
      send: (frame) => this.#send(frame),
      wake: () => this.#retry(),
      has: (feature) => this.#hello?.features.includes(feature) ?? false,
      url: this.#settings.url,
      messageTimeoutS: this.#settings.messageTimeoutS,
    });
  }

  /** Close every session and the connection, in at most `connectTimeoutS`. What is not closed then, the server ends. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const closed = new SessionClosed("the connection was closed", "SESSION_CLOSED");
    for (const [nonce] of this.#openings) this.#take(nonce)?.reject(closed);
    const ends = [...this.#lives.values()].map((life) => life.close((frame) => this.#send(frame)));
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise((resolve) => (timer = setTimeout(resolve, this.#settings.connectTimeoutS * 1000)));
    if (this.#isGreeted) await Promise.race([Promise.allSettled(ends), late]);
    clearTimeout(timer);
    this.#stop();
    for (const life of [...this.#lives.values()]) {
      this.#drop(life, EpisodeLost.because("closed", "the connection was closed"));
    }
    for (const one of this.#waitingForHello.splice(0)) one.reject(closed);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal Resolved when the server has greeted. */
  ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waitingForHello.push({ resolve, reject });
      this.#connect();
    });
  }

  /** @internal Open a session on the server. */
  begin({ queueTimeoutS = 0, onQueued }: OpenOptions): Promise<Life> {
    if (this.#isClosed) return Promise.reject(new SessionClosed("the connection was closed", "SESSION_CLOSED"));
    const nonce = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0"));
    return new Promise((resolve, reject) => {
      const limitS =
        queueTimeoutS + this.#settings.connectTimeoutS + (this.#isGreeted ? 0 : this.#settings.reconnectTimeoutS);
      const late = () =>
        this.#take(nonce.join(""))?.reject(new RequestTimeout(`the session did not open in ${limitS} s`));
      const timer = setTimeout(late, limitS * 1000);
      this.#openings.set(nonce.join(""), {
        queueTimeoutS,
        onQueued,
        resolve: (life) => (clearTimeout(timer), resolve(life)),
        reject: (error) => (clearTimeout(timer), reject(error)),
      });
      if (this.#isGreeted) this.#sendOpen(nonce.join(""), queueTimeoutS);
      else this.#retry();
    });
  }

  // The link -----------------------------------------------------------------------------------------------------

  #connect(): void {
    const { url, connectTimeoutS, socketClass, token } = this.#settings;
    try {
      this.#link = new Link(socketClass, url, this.#subprotocols, connectTimeoutS, token, {
        onhello: (hello) => this.#greeted(hello),
        onreply: (reply) => this.#received(reply),
        onloss: (loss) => this.#lost(loss),
      });
    } catch (error) {
      this.#lost({ reason: "connection_lost", error: error as OpenEnvError, isEstablished: false });
    }
  }

  #greeted(hello: Hello): void {
    this.#hello = hello;
    this.#isGreeted = true;
    this.#greetedAt = this.#heardAt = now();
    this.#isProbed = false;
    this.#subprotocols = [this.#link!.codec.subprotocol]; // frames that are sent again are in this form
    this.#watch = setInterval(() => this.#checkLiveness(), this.#settings.livenessTimeoutS * 1000);
    for (const one of this.#waitingForHello.splice(0)) one.resolve();
    for (const life of this.#lives.values()) this.#send(this.#encode(life.resume));
    for (const [nonce, { queueTimeoutS }] of this.#openings) this.#sendOpen(nonce, queueTimeoutS);
  }

  #lost(loss: Loss): void {
    if (this.#isGreeted && now() - this.#greetedAt > LONGEST_PAUSE_S) this.#backoff = undefined;
    this.#isGreeted = false;
    this.#link = undefined;
    clearInterval(this.#watch);
    for (const life of this.#lives.values()) life.isAttached = false;
    const isHopeless = loss.reason === "protocol_error" || loss.reason === "message_too_large";
    const canResume = this.#hello?.features.includes("resume") ?? loss.isEstablished;
    if (isHopeless || !canResume || this.#settings.reconnectTimeoutS === 0) {
      this.#surrender(loss, (life) => life.isWaiting || !canResume);
    } else {
      this.#retry(loss);
    }
  }

  /** Connect again when it is time, as long as somebody needs the connection. */
  #retry(loss?: Loss): void {
    if (this.#isClosed || this.#link !== undefined || this.#pause !== undefined) return;
    const isNeeded = this.#lives.size > 0 || this.#openings.size > 0 || this.#waitingForHello.length > 0;
    if (!isNeeded) return;
    this.#backoff ??= new Backoff(this.#settings.reconnectTimeoutS, now(), this.#settings.random);
    const pauseS = this.#backoff.next(now());
    if (pauseS === undefined) {
      const gone = loss ?? {
        reason: "connection_lost",
        error: new ConnectionLost("lost the connection"),
        isEstablished: true,
      };
      this.#surrender(gone, (life) => life.isWaiting);
      return;
    }
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      this.#connect();
    }, pauseS * 1000);
  }

  /** Nobody waits any longer. Sessions that wait for nothing are kept: they may still be there at the next request. */
  #surrender(loss: Loss, isLost: (life: Life) => boolean): void {
    this.#backoff = undefined;
    for (const one of this.#waitingForHello.splice(0)) one.reject(loss.error);
    for (const [nonce] of this.#openings) this.#take(nonce)?.reject(loss.error);
    for (const life of [...this.#lives.values()]) {
      if (isLost(life))
        this.#drop(life, EpisodeLost.because(loss.reason, `the episode is lost: ${loss.error.message}`));
    }
  }

  #stop(): void {
    clearTimeout(this.#pause);
    clearInterval(this.#watch);
    this.#pause = undefined;
    this.#isGreeted = false;
    this.#link?.close();
    this.#link = undefined;
  }

  /** Browsers cannot send a WebSocket ping; a `resume`, which may be asked at any time, is answered as well. */
  #checkLiveness(): void {
    const waiting = [...this.#lives.values()].find((life) => life.isWaiting || !life.isAttached);
    const silentS = now() - this.#heardAt;
    if (waiting === undefined || silentS < 0.9 * this.#settings.livenessTimeoutS) {
      return; // 0.9: timers are not exact
    } else if (this.#isProbed) {
      this.#link?.drop(`silent for ${silentS.toFixed(1)} s`);
    } else {
      this.#isProbed = true;
      this.#send(this.#encode(waiting.resume));
    }
  }

  // Messages -----------------------------------------------------------------------------------------------------

  #encode(message: object): Frame {
    return this.#link!.codec.encode(message);
  }

  #send(frame: Frame): void {
    if (this.#isGreeted) this.#link!.send(frame);
    else this.#retry();
  }

  #sendOpen(nonce: string, queueTimeoutS: number): void {
    const canQueue = queueTimeoutS > 0 && this.hello.features.includes("queue");
    this.#send(this.#encode({ type: "open", nonce, ...(canQueue && { queue_timeout_s: queueTimeoutS }) }));
  }

  #received(reply: Reply): void {
    this.#heardAt = now();
    this.#isProbed = false;
    if (reply.type !== "resumed") this.#backoff = undefined; // progress: the next break has its own time
    const life = this.#lives.get(reply.session);
    if (reply.type === "opened") {
      this.#opened(reply.session, reply.token, reply.nonce);
    } else if (reply.type === "queued") {
      this.#openings.get(reply.nonce)?.onQueued?.(reply.position);
    } else if (reply.type === "error" && reply.session === "") {
      this.#refused(errorFrom(reply.code, reply.message, reply.details, reply.retryable));
    } else if (life === undefined || reply.type === "progress") {
      return; // a late reply of a session that is gone, or a sign of life
    } else if (reply.type === "resumed") {
      life.resumed((frame) => this.#send(frame));
    } else if (reply.type === "error" && reply.id === 0 && reply.retryable) {
      this.#link?.drop(`the session cannot be resumed now: ${reply.message}`);
    } else {
      life.answered(reply);
      if (life.isGone) this.#lives.delete(life.session);
    }
  }

  #opened(session: string, token: string, nonce: string): void {
    if (this.#lives.has(session)) return; // the answer to an `open` that was sent again
    const life = new Life(session, token, this.#link!.codec, this.hello.limits.max_message_bytes);
    this.#lives.set(session, life);
    const opening = this.#take(nonce);
    if (opening !== undefined) opening.resolve(life);
    else life.giveUp(EpisodeLost.because("timeout", "nobody waits for it any more"), (frame) => this.#send(frame));
  }

  /** An error that names no session: of an `open`, or of a frame that the server could not read. */
  #refused(error: OpenEnvError): void {
    const nonce = error.details["nonce"];
    if (typeof nonce === "string") this.#take(nonce)?.reject(error);
    else this.#surrender({ reason: "protocol_error", error, isEstablished: true }, (life) => life.isWaiting);
  }

  #take(nonce: string): Opening | undefined {
    const opening = this.#openings.get(nonce);
    this.#openings.delete(nonce);
    return opening;
  }

  #drop(life: Life, loss: EpisodeLost): void {
    this.#lives.delete(life.session);
    life.lose(loss);
  }
}

/** Seconds, of a clock that only goes forward. */
function now(): number {
  return performance.now() / 1000;
}
