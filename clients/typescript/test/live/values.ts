/** Sends back every value that a real server sends, and looks at what JavaScript makes of some. */

import assert from "node:assert/strict";

import {
  Complex,
  Decimal,
  FrozenSet,
  NDArray,
  Path,
  PlainDate,
  TimeDelta,
  Tuple,
  Uuid,
  connect,
} from "../../src/index.ts";
import type { Encoding } from "../../src/index.ts";

const [url, encoding] = process.argv.slice(2) as [string, Encoding];
const connection = await connect(url, { encodings: [encoding] });
assert.equal(connection.encoding, encoding);
const session = await connection.open();
let { observation, done, metadata } = await session.reset();
const seen: Record<string, unknown> = {};
while (!done) {
  assert.deepEqual(metadata["same"], observation.value); // the same nested elsewhere
  seen[observation.name as string] = observation.value;
  ({ observation, done, metadata } = await session.step({ value: observation.value }));
}
assert.deepEqual(observation.value, []); // what did not come back as it went

assert.deepEqual(seen["bytes"], new Uint8Array([0, 255]));
assert.deepEqual(seen["floats"], [NaN, Infinity, -Infinity, 0.5]);
assert.deepEqual(seen["integers"], [0, -1, 2 ** 40, 2n ** 63n - 1n, 2n ** 64n - 1n, 2n ** 64n, -(2n ** 80n)]);
assert.deepEqual(seen["matrix"], new NDArray(Float32Array.of(0, 1, 2, 3, 4, 5), [2, 3], "<f4"));
assert.deepEqual(seen["instant"], new Date("2026-03-01T10:00:00Z"));
assert.deepEqual(seen["day"], new PlainDate("2026-03-01"));
assert.deepEqual(seen["span"], new TimeDelta(-1, 86399, 5));
assert.deepEqual(seen["complex"], new Complex(1, -2));
assert.deepEqual(seen["tuple"], Tuple.of<unknown>(1, "a", Tuple.of()));
assert.deepEqual(seen["set"], new Set([1, 2]));
assert.deepEqual(seen["frozenset"], new FrozenSet(["a"]));
assert.deepEqual(
  seen["map"],
  new Map<unknown, unknown>([
    [1, "a"],
    [Tuple.of(1, 2), null],
  ]),
);
assert.deepEqual(seen["texts"], [
  new Uuid("12345678-1234-5678-1234-567812345678"),
  new Decimal("1.10"),
  new Path("/a/b"),
]);
assert.deepEqual(seen["escaped"], { $openenv: "bytes", data: 1 });
assert.equal(seen["enum"], "red");
await connection.close();
console.log(Object.keys(seen).length);
