/** Values as v2 msgpack: bytes and floats as msgpack has them, arrays as extension 1, other kinds as extension 2. */

import { ExtData, ExtensionCodec, Decoder, Encoder, decodeMulti } from "@msgpack/msgpack";

import { countOf, layoutOf } from "./dtype.ts";
import type { Dtype } from "./dtype.ts";
import { MAX_DEPTH, checkDepth, checkText, entriesOf, jsonOf, put, refuse } from "./encode.ts";
import { taggedOf } from "./json.ts";
import { LARGEST_INTEGER, SMALLEST_INTEGER, TAG, builderOf, isBinary } from "./kinds.ts";
import type { Tagged } from "./kinds.ts";
import { Float, NDArray, Tuple } from "./values.ts";

const UTF8 = new TextDecoder();
const EXT_ARRAY = 1;
const EXT_TAGGED = 2;
const UNSAFE_NAME = "__proto__"; // a key that the library refuses to read
const SAFE_NAME = `\0${UNSAFE_NAME}`; // what stands for it until all is read
const KEYS = {
  canBeCached: (length: number) => length === UNSAFE_NAME.length,
  decode: (bytes: Uint8Array, from: number, length: number) => {
    const key = UTF8.decode(bytes.subarray(from, from + length));
    return key === UNSAFE_NAME ? SAFE_NAME : key;
  },
};

const EXTENSIONS = new ExtensionCodec();
for (const type of [EXT_ARRAY, EXT_TAGGED]) {
  EXTENSIONS.register({ type, encode: () => null, decode: readExtension });
}

/** The msgpack of a value. Throws a LocalProtocolError that says where something cannot be sent. */
export function toMsgpack(value: unknown, at = ""): Uint8Array<ArrayBuffer> {
  const writer = new Preparation(false);
  const prepared = writer.prepare(value, at, 0);
  // Most frames have no float that is whole. For one that has, the library is told to write every number as a float,
  // and gets the integers as bigints.
  if (!writer.hasWholeFloats) return pack(prepared, false);
  return pack(new Preparation(true).prepare(value, at, 0), true);
}

function pack(prepared: unknown, floatsOnly: boolean): Uint8Array<ArrayBuffer> {
  return new Encoder({ useBigInt64: true, forceIntegerToFloat: floatsOnly, maxDepth: 4 * MAX_DEPTH }).encode(prepared);
}

/** Turns values into what the library writes as they should be. */
class Preparation {
  hasWholeFloats = false;
  readonly #floatsOnly: boolean;

  constructor(floatsOnly: boolean) {
    this.#floatsOnly = floatsOnly;
  }

  prepare(value: unknown, at: string, depth: number): unknown {
    switch (typeof value) {
      case "string":
        return checkText(value, at);
      case "boolean":
        return value;
      case "number":
        return this.#number(value);
      case "bigint":
        if (value >= SMALLEST_INTEGER && value <= LARGEST_INTEGER) return value;
        return this.#tagged({ kind: "int", fields: { value: value.toString() } }, at, depth);
      case "object":
        return value === null ? null : this.#object(value, at, depth);
      default:
        return refuse(typeof value === "undefined" ? "undefined" : `a ${typeof value}`, at);
    }
  }

  #number(value: number): number | bigint {
    if (Object.is(value, -0)) {
      this.hasWholeFloats = true;
      return value;
    }
    if (!Number.isSafeInteger(value)) return value;
    // with bigints allowed, the library writes numbers beyond 32 bits as floats
    return this.#floatsOnly || value > 0xffffffff || value < -0x80000000 ? BigInt(value) : value;
  }

  #object(value: object, at: string, depth: number): unknown {
    checkDepth(depth, at);
    if (value instanceof Float) {
      this.hasWholeFloats ||= Number.isSafeInteger(value.value);
      return value.value;
    }
    if (value instanceof Uint8Array) return value;
    if (Array.isArray(value) && !(value instanceof Tuple)) {
      return value.map((item, index) => this.prepare(item, `${at}[${index}]`, depth + 1));
    }
    const tagged = taggedOf(value, at);
    if (tagged !== undefined) return this.#tagged(tagged, at, depth);
    const json = jsonOf(value);
    if (json !== value) return this.prepare(json, at, depth + 1);
    const entries = entriesOf(value, at);
    if (entries.some(([key]) => key === TAG)) {
      return this.#tagged({ kind: "map", fields: { items: entries } }, at, depth);
    }
    const prepared: Record<string, unknown> = {};
    for (const [key, item] of entries) {
      put(prepared, checkText(key, at), this.prepare(item, at ? `${at}.${key}` : key, depth + 1));
    }
    return prepared;
  }

  #tagged({ kind, fields }: Tagged, at: string, depth: number): ExtData {
    const { data } = fields;
    if (kind === "ndarray" && data instanceof Uint8Array) {
      const head = pack([fields["dtype"], fields["shape"]], false);
      const body = new Uint8Array(head.length + data.length);
      body.set(head);
      body.set(data, head.length);
      return new ExtData(EXT_ARRAY, body);
    }
    const prepared: Record<string, unknown> = {};
    for (const [name, field] of Object.entries(fields)) {
      prepared[name] = isBinary(name) ? field : this.prepare(field, at, depth + 1);
    }
    return new ExtData(EXT_TAGGED, pack([kind, prepared], this.#floatsOnly));
  }
}

/** The value of a msgpack frame. Throws any Error if it is none, or an extension is not what it should be. */
export function fromMsgpack(frame: Uint8Array): unknown {
  const decoder = new Decoder({ useBigInt64: true, extensionCodec: EXTENSIONS, keyDecoder: KEYS });
  return finish(decoder.decode(frame), 0);
}

/** Values of extensions, which are finished when they are made. */
class Finished {
  readonly value: unknown;

  constructor(value: unknown) {
    this.value = value;
  }
}

/** Make numbers of the bigints that a number holds, and put the values of extensions in their places. */
function finish(value: unknown, depth: number): unknown {
  if (typeof value === "bigint") {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  if (depth > 2 * MAX_DEPTH) throw new RangeError("it is nested too deeply");
  if (value instanceof Finished) return value.value;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) value[index] = finish(value[index], depth + 1);
    return value;
  }
  if (Object.getPrototypeOf(value) !== Object.prototype) throw new TypeError("an extension that OpenEnv does not have");
  const object = value as Record<string, unknown>;
  for (const key of Object.keys(object)) {
    const item = finish(object[key], depth + 1);
    if (key === SAFE_NAME) {
      delete object[key];
      put(object, UNSAFE_NAME, item);
    } else {
      object[key] = item;
    }
  }
  return object;
}

function readExtension(body: Uint8Array, type: number): Finished {
  return new Finished(type === EXT_ARRAY ? readArray(body) : readTagged(body));
}

function readArray(body: Uint8Array): NDArray {
  const first: unknown = decodeMulti(body).next().value;
  if (!Array.isArray(first) || first.length !== 2 || !Array.isArray(first[1])) {
    throw new TypeError("an array without dtype and shape");
  }
  const [dtype, shape] = first as [Dtype, number[]];
  if (typeof dtype !== "string" && !Array.isArray(dtype)) throw new TypeError("an array without a dtype");
  const size = countOf(shape) * layoutOf(dtype).itemsize;
  if (size > body.length) throw new RangeError("an array whose buffer is too short");
  const buffer = body.subarray(body.length - size);
  // the library does not tell where the head ends; it has to be where the buffer begins
  new Decoder().decode(body.subarray(0, body.length - size));
  return NDArray.fromBuffer(dtype, shape, buffer);
}

function readTagged(body: Uint8Array): unknown {
  const pair = fromMsgpack(body);
  if (!Array.isArray(pair) || pair.length !== 2 || typeof pair[0] !== "string") {
    throw new TypeError("a tagged value without its kind");
  }
  const [kind, fields] = pair as [string, Record<string, unknown>];
  if (typeof fields !== "object" || fields === null) throw new TypeError("a tagged value without fields");
  const build = builderOf(kind);
  return build === undefined ? { [TAG]: kind, ...fields } : build(fields);
}
