/** How long to wait before the next try to connect. */

export const FIRST_PAUSE_S = 0.05;
export const LONGEST_PAUSE_S = 5;

/**
 * The first try comes at once; before each later one a random time up to a bound that doubles, so that many clients do
 * not come back together. Ends when its budget is used up.
 */
export class Backoff {
  readonly #until: number;
  readonly #random: () => number;
  #tries = 0;

  /** `now` is in seconds, of any clock that only goes forward; `random` gives numbers from 0 to 1. */
  constructor(budgetS: number, now: number, random: () => number) {
    this.#until = now + budgetS;
    this.#random = random;
  }

  /** Seconds to wait before the next try; undefined if there is no time for another one. */
  next(now: number): number | undefined {
    const bound = Math.min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (this.#tries - 1));
    if (this.#tries++ === 0) return 0;
    const pause = bound * this.#random();
    return now + pause <= this.#until ? pause : undefined;
  }
}
