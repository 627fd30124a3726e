/** One session as the server knows it: its numbered requests, and what to send again on another connection. */

import { EpisodeLost, MessageTooLarge, OpenEnvError, SessionBusy, SessionClosed, errorFrom } from "./errors.ts";
import type { Codec, Failed, Frame, Reply, Request } from "./messages.ts";

const WINDOW = 32;
const OPEN_REQUESTS = WINDOW - 1; // so that there always is a place for a close

interface Unanswered {
  readonly frame: Frame;
  resolve(reply: Reply): void;
  reject(error: OpenEnvError): void;
}

/** Does no I/O: it says what to send, and is told what came. */
export class Life {
  readonly session: string;
  readonly token: string;
  readonly #codec: Codec;
  readonly #maxMessageBytes: number;
  readonly #unanswered = new Map<number, Unanswered>(); // by id, which rises
  #lastId = 0;
  #abandoned = Infinity; // the first id whose reply nobody waits for any more
  #closing: Promise<void> | undefined;
  #loss: OpenEnvError | undefined;
  /** Whether the connection of now knows it; requests are sent once it does. */
  isAttached = true;
  /** Called when it is over, with the error if it did not end because its client closed it. */
  onover: (loss: EpisodeLost | undefined) => void = () => {};

  constructor(session: string, token: string, codec: Codec, maxMessageBytes: number) {
    this.session = session;
    this.token = token;
    this.#codec = codec;
    this.#maxMessageBytes = maxMessageBytes;
  }

  /** Why nothing can be asked any more; undefined while it lives. */
  get loss(): OpenEnvError | undefined {
    return this.#loss;
  }

  /** Whether an answer is outstanding. */
  get isWaiting(): boolean {
    return this.#unanswered.size > 0;
  }

  /** Whether it is over for both sides: the server need not be told any more. */
  get isGone(): boolean {
    return this.#loss !== undefined && !this.isWaiting;
  }

  get isClosing(): boolean {
    return this.#closing !== undefined;
  }

  /**
   * Number a request; `send` is given its frame if the connection knows the session. The promise is of its reply, and
   * is rejected with the error that came instead.
   */
  ask(request: Request, send: (frame: Frame) => void): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (this.#loss !== undefined) throw this.#loss;
      if (this.isClosing && request.type !== "close") throw closedError();
      if (this.#unanswered.size >= OPEN_REQUESTS && request.type !== "close") {
        throw new SessionBusy(`${OPEN_REQUESTS} requests are unanswered; wait for one of them`, "BUSY", {}, true);
      }
      const id = this.#lastId + 1;
      const ack = Math.min(id, this.#abandoned, ...this.#unanswered.keys()) - 1; // all up to it are answered
      const frame = this.#codec.encode({ ...request, session: this.session, id, ack });
      const size = typeof frame === "string" ? new TextEncoder().encode(frame).length : frame.length;
      if (size > this.#maxMessageBytes) {
        throw new MessageTooLarge(`${size} bytes; the server takes ${this.#maxMessageBytes}`, "MESSAGE_TOO_LARGE");
      }
      this.#lastId = id;
      this.#unanswered.set(id, { frame, resolve, reject });
      if (this.isAttached) send(frame);
    });
  }

  /** Ask for its end. Also resolved if it is gone by then. */
  close(send: (frame: Frame) => void): Promise<void> {
    if (this.#loss !== undefined) return Promise.resolve();
    this.#closing ??= this.ask({ type: "close" }, send).then(
      () => {},
      (error: OpenEnvError) => {
        if (error instanceof EpisodeLost || error instanceof SessionClosed) return;
        this.#over(undefined); // the environment failed to close, but it is closed
        throw error;
      },
    );
    return this.#closing;
  }

  /** Give up waiting for an answer: whatever is unanswered fails, and the server is asked to end the session. */
  giveUp(loss: EpisodeLost, send: (frame: Frame) => void): void {
    if (this.#loss !== undefined) return;
    const unanswered = [...this.#unanswered.values()];
    this.#abandoned = Math.min(Infinity, ...this.#unanswered.keys());
    this.#unanswered.clear();
    this.close(send).catch(() => {}); // nobody waits for it
    for (const one of unanswered) one.reject(loss);
    this.#over(loss);
  }

  /** What makes it known to a new connection. */
  get resume(): Request {
    return { type: "resume", session: this.session, token: this.token };
  }

  /** The connection knows it: what was asked and not answered goes out again, under the same ids. */
  resumed(send: (frame: Frame) => void): void {
    if (this.isAttached) return; // asked only to see whether the server is there
    this.isAttached = true;
    for (const { frame } of this.#unanswered.values()) send(frame);
  }

  /** A reply to one of its requests, or an error about the session itself. */
  answered(reply: Reply): void {
    if (reply.type === "ended") {
      this.lose(EpisodeLost.because(reply.reason, reply.message));
    } else if (reply.type === "error") {
      this.#failed(reply);
    } else {
      const asked = this.#unanswered.get(reply.id);
      this.#unanswered.delete(reply.id);
      asked?.resolve(reply);
      if (reply.type === "closed") this.#end(undefined);
    }
  }

  /** It is gone: everything unanswered fails with that. */
  lose(loss: EpisodeLost): void {
    this.#end(loss);
  }

  #failed(reply: Failed): void {
    const error = errorFrom(reply.code, reply.message, reply.details, reply.retryable);
    if (error instanceof EpisodeLost) {
      this.#end(error);
    } else if (reply.code === "SESSION_NOT_FOUND") {
      const message = "the server does not know the session (any more): it was restarted or has forgotten it";
      this.#end(EpisodeLost.because("session_unknown", message));
    } else {
      const asked = this.#unanswered.get(reply.id);
      this.#unanswered.delete(reply.id);
      asked?.reject(error);
    }
  }

  /** It has ended: as its client wanted, or lost. */
  #end(loss: EpisodeLost | undefined): void {
    const isLost = loss !== undefined && !this.isClosing;
    const unanswered = [...this.#unanswered.values()];
    this.#unanswered.clear();
    for (const one of unanswered) one.reject(loss ?? closedError());
    this.#over(isLost ? loss : undefined);
  }

  #over(loss: EpisodeLost | undefined): void {
    if (this.#loss !== undefined) return;
    this.#loss = loss ?? closedError();
    this.onover(loss);
  }
}

function closedError(): SessionClosed {
  return new SessionClosed("the session is closed", "SESSION_CLOSED");
}
