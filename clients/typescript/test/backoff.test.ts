/** The pauses between tries to connect. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Backoff } from "../src/backoff.ts";

test("the bound of the pauses doubles up to its limit, and the first try comes at once", () => {
  const longest = new Backoff(1000, 0, () => 1);
  assert.deepEqual(
    Array.from({ length: 10 }, () => longest.next(0)),
    [0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5],
  );
  const shortest = new Backoff(1000, 0, () => 0);
  assert.deepEqual(
    Array.from({ length: 3 }, () => shortest.next(0)),
    [0, 0, 0],
  );
  const between = new Backoff(1000, 0, () => 0.5);
  assert.deepEqual(
    Array.from({ length: 4 }, () => between.next(0)),
    [0, 0.025, 0.05, 0.1],
  );
});

test("it ends with its budget", () => {
  const backoff = new Backoff(1, 100, () => 1);
  assert.equal(backoff.next(102), 0); // one try there always is
  assert.equal(backoff.next(100.9), 0.05);
  assert.equal(backoff.next(100.95), undefined);
});
