/** Values through both forms and back; what cannot be sent; what no server sends. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { encode as plainEncode, decode as plainDecode, ExtData } from "@msgpack/msgpack";

import {
  Complex,
  DateTime,
  Decimal,
  Float,
  FrozenSet,
  ImageValue,
  LocalProtocolError,
  NDArray,
  NumpyScalar,
  Path,
  PlainDate,
  PlainTime,
  TimeDelta,
  Tuple,
  Uuid,
} from "../src/index.ts";
import { fromJsonText, toJsonText } from "../src/json.ts";
import { fromMsgpack, toMsgpack } from "../src/msgpack.ts";

const FORMS = {
  json: (value: unknown) => fromJsonText(toJsonText(value)),
  msgpack: (value: unknown) => fromMsgpack(toMsgpack(value)),
};

const SURVIVE: Readonly<Record<string, unknown>> = {
  nothing: null,
  numbers: [0, 1, -1, 1.5, 2 ** 31, -(2 ** 31) - 1, 2 ** 32, 2 ** 53 - 1, -(2 ** 53) + 1, 1e300, 5e-324],
  notFinite: [NaN, Infinity, -Infinity],
  negativeZero: -0,
  bigints: [
    2n ** 53n,
    -(2n ** 53n),
    2n ** 63n - 1n,
    -(2n ** 63n),
    2n ** 64n - 1n,
    2n ** 64n,
    -(2n ** 63n) - 1n,
    10n ** 80n,
  ],
  texts: ["", "ünïcode 🎲", '"\\', "12345678901234567890", '\\"9007199254740993'],
  tag: { $openenv: "bytes", data: "AA==" },
  prototype: JSON.parse('{"__proto__": {"a": 1}, "b": [2]}') as unknown,
  bytes: new Uint8Array([0, 255, 128]),
  nested: { a: [{ b: new Set([1, new Tuple()]) }] },
  dates: [
    new Date("2026-03-01T10:00:00Z"),
    new Date(1),
    new DateTime("2026-03-01T10:00:00"),
    new DateTime("2026-03-01T10:00:00.000001+00:00"),
  ],
  days: [new PlainDate("2026-03-01"), new PlainTime("10:00:00.5+02:00"), new TimeDelta(-1, 86399, 999999)],
  texts2: [new Uuid("12345678-1234-5678-1234-567812345678"), new Decimal("1.10"), new Path("/a/b")],
  complex: new Complex(1, -0.5),
  sets: [new Set(["a", 2n ** 60n]), new FrozenSet([1])],
  tuple: Tuple.of<unknown>(1, Tuple.of<unknown>("x", [2])),
  map: new Map<unknown, unknown>([
    [1, "a"],
    [Tuple.of(1, 2), new Map([[null, NaN]])],
  ]),
  image: new ImageValue("png", new Uint8Array([137, 80])),
  scalar: new NumpyScalar("<f4", Float32Array.of(1.5)),
  matrix: new NDArray(Float32Array.of(1, 2, 3, 4, 5, 6), [2, 3]),
  arrays: [
    new NDArray(BigInt64Array.of(-(2n ** 63n), 5n)),
    new NDArray(Uint8Array.of(1, 0), [2, 1], "|b1"),
    new NDArray(Float64Array.of(NaN, -0), [2], ">f8"),
    new NDArray(Float32Array.of(0.5, 65504, -Infinity, 2 ** -24), [4], "<f2"),
    new NDArray(["añ", "", "🎲b"], [3], "<U2"),
    new NDArray(
      Uint8Array.of(1, 2, 3, 4, 5, 6),
      [2],
      [
        ["a", "|u1"],
        ["b", "<u2"],
      ],
    ),
    new NDArray([1, null, [new Uint8Array(1)]], [3, 1], "|O"),
    new NDArray(BigInt64Array.of(17n), [], "<M8[ns]"),
    new NDArray(new Float64Array(0), [0, 3]),
    new NDArray(Float32Array.of(1, 2), [1], "<c8"),
    new NDArray(new Uint8Array(6), [2], "|S3"),
  ],
};

for (const [form, through] of Object.entries(FORMS)) {
  for (const [name, value] of Object.entries(SURVIVE)) {
    test(`${name} survives ${form}`, () => assert.deepStrictEqual(through({ value }), { value }));
  }

  test(`a typed array goes as an array of numpy in ${form}`, () => {
    assert.deepStrictEqual(through(Int16Array.of(1, -2)), new NDArray(Int16Array.of(1, -2), [2], "<i2"));
  });

  test(`what says its own JSON is taken at its word in ${form}`, () => {
    assert.deepStrictEqual(through({ url: new URL("http://a/"), none: undefined }), { url: "http://a/" });
  });

  const circular: unknown[] = [];
  circular.push(circular);
  const refused: [string, unknown, RegExp][] = [
    ["undefined in an array", { a: [1, undefined] }, /^a\[1\] cannot be sent: undefined/],
    ["a function", { a: { b: () => 1 } }, /^a\.b cannot be sent: a function/],
    ["an object of a class", { a: new (class Thing {})() }, /^a cannot be sent: a Thing/],
    ["a circle", circular, /nested deeper/],
    ["half a surrogate pair", ["\ud800"], /surrogate/],
    ["a Date that is none", [new Date(NaN)], /years 1 to 9999/],
  ];
  for (const [what, value, message] of refused) {
    test(`${what} is refused by ${form}`, () => {
      assert.throws(
        () => through(value),
        (error) => error instanceof LocalProtocolError && message.test(error.message),
      );
    });
  }
}

test("a whole float is written as a float when it is asked for", () => {
  assert.equal(toJsonText([new Float(1), 1, -0, 2 ** 60]), "[1.0,1,-0.0,1152921504606847000.0]");
  const written = toMsgpack([new Float(1), 1, 2 ** 40]);
  assert.deepEqual([...written.slice(0, 3)], [0x93, 0xcb, 0x3f]); // an array of three, then a float of 64 bits
  assert.deepEqual(plainDecode(written, { useBigInt64: true }), [1, 1n, 2n ** 40n]);
});

test("an object with the key of the tag is escaped", () => {
  assert.equal(toJsonText({ $openenv: 1 }), '{"$openenv":"map","items":[["$openenv",1]]}');
  const { type, data } = plainDecode(toMsgpack({ $openenv: 1 })) as ExtData;
  assert.deepEqual([type, plainDecode(data as Uint8Array)], [2, ["map", { items: [["$openenv", 1]] }]]);
});

test("integers beyond 32 bits are written as integers", () => {
  assert.equal(toMsgpack(2 ** 40)[0], 0xcf);
  assert.equal(toMsgpack(-(2 ** 40))[0], 0xd3);
});

test("a float16 is rounded to the nearest", () => {
  const sent = new NDArray(Float32Array.of(1 + 2 ** -11, 1 + 3 * 2 ** -11, 65520, 2 ** -25, 1e-9, NaN), [6], "<f2");
  const arrived = fromJsonText(toJsonText(sent)) as NDArray<Float32Array>;
  assert.deepEqual([...arrived.data], [1, 1 + 2 ** -9, Infinity, 0, 0, NaN]);
});

test("an array knows its items", () => {
  const array = new NDArray(Int32Array.of(1, 2, 3, 4, 5, 6), [3, 2]);
  assert.deepEqual(array.toNestedArray(), [
    [1, 2],
    [3, 4],
    [5, 6],
  ]);
  assert.deepEqual(new NDArray(new Int32Array(0), [2, 0]).toNestedArray(), []);
  assert.equal(array.size, 6);
  assert.equal(Number(new NumpyScalar("<f8", Float64Array.of(2.5))) + 1, 3.5);
  assert.throws(() => new NDArray(Int32Array.of(1), [2]), RangeError);
  assert.throws(() => new NDArray(Int32Array.of(1), [1], "<f4"), RangeError);
});

test("a kind of a later version arrives as it came", () => {
  const later = { $openenv: "quaternion", value: [1, { $openenv: "float", value: "nan" }] };
  assert.deepEqual(fromJsonText(JSON.stringify(later)), later);
  const packed = plainEncode(new ExtData(2, plainEncode(["quaternion", { value: 1 }])));
  assert.deepEqual(fromMsgpack(packed), { $openenv: "quaternion", value: 1 });
});

const HOSTILE = [
  '{"$openenv":"bytes"}',
  '{"$openenv":"bytes","data":"%"}',
  '{"$openenv":"float","value":"1"}',
  '{"$openenv":"ndarray","dtype":"<f4","shape":[2],"data":"AAAA"}',
  '{"$openenv":"ndarray","dtype":"<f4","shape":[-1],"data":""}',
  '{"$openenv":"ndarray","dtype":"zz","shape":[],"data":""}',
  '{"$openenv":"ndarray","dtype":"|O","shape":[2],"items":[1]}',
  '{"$openenv":"ndarray","dtype":"<f4","shape":[1e300],"data":""}',
  '{"$openenv":"map","items":[1]}',
  '{"$openenv":"int","value":"x"}',
  '{"$openenv":"ndarray","dtype":"<U1","shape":[1],"data":"//////=="}',
  '{"$openenv":"complex","value":[1]}',
  "[".repeat(100000),
  '{"a":',
];
for (const text of HOSTILE) {
  test(`hostile JSON: ${text.slice(0, 70)}`, () => assert.throws(() => fromJsonText(text), Error));
}
test("deep JSON is refused before the stack ends", () => {
  assert.throws(() => fromJsonText("[".repeat(1000) + "]".repeat(1000)), /nested too deeply/);
});

const HOSTILE_BODIES: readonly [number, Uint8Array][] = [
  [1, new Uint8Array(0)],
  [1, plainEncode("x")],
  [1, plainEncode(["<f4", [2]])],
  [1, plainEncode(["<f4", [-1]])],
  [1, plainEncode([null, []])],
  [2, plainEncode(["int"])],
  [2, plainEncode(["int", null])],
  [2, plainEncode(["set", { items: 1 }])],
  [1, new Uint8Array([...plainEncode(["<f4", [0]]), 7])],
  [7, new Uint8Array(1)],
  [-1, new Uint8Array(3)],
];
for (const [type, body] of HOSTILE_BODIES) {
  test(`hostile msgpack: extension ${type} of ${Buffer.from(body).toString("hex")}`, () => {
    assert.throws(() => fromMsgpack(plainEncode(new ExtData(type, body))), Error);
  });
}
