/** The kinds of tagged values: which fields each has, in JSON and in msgpack alike. */

import type { Dtype, NumberArray } from "./dtype.ts";
import {
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

/** The key that marks a tagged object in JSON. */
export const TAG = "$openenv";

/**
 * A value that is neither a JSON value nor bytes nor a float. Its fields are values themselves, except `data`: bytes,
 * which JSON writes in base64.
 */
export interface Tagged {
  readonly kind: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

type Fields = Readonly<Record<string, unknown>>;

/** Integers that travel as numbers; others are tagged. */
export const SMALLEST_INTEGER = -(2n ** 63n);
export const LARGEST_INTEGER = 2n ** 64n - 1n;

/** What a value is tagged as; undefined if it is not. Throws a RangeError if it is out of Python's range. */
export function describe(value: object): Tagged | undefined {
  if (value instanceof NDArray) {
    const { dtype, shape } = value;
    if (value.hasValues) return { kind: "ndarray", fields: { dtype, shape, items: value.data } };
    return { kind: "ndarray", fields: { dtype, shape, data: value.toBuffer() } };
  }
  if (ArrayBuffer.isView(value)) {
    if (value instanceof DataView) return undefined;
    return describe(new NDArray(value as NumberArray));
  }
  if (value instanceof NumpyScalar) {
    const { array, dtype } = value;
    return {
      kind: "scalar",
      fields: { dtype, ...(array.hasValues ? { items: array.data } : { data: array.toBuffer() }) },
    };
  }
  if (value instanceof Date) return { kind: "datetime", fields: { value: isoOf(value) } };
  if (value instanceof Set) {
    return { kind: value instanceof FrozenSet ? "frozenset" : "set", fields: { items: [...value] } };
  }
  if (value instanceof Map) return { kind: "map", fields: { items: [...value] } };
  if (value instanceof Tuple) return { kind: "tuple", fields: { items: Array.from(value) } };
  if (value instanceof TimeDelta) {
    return { kind: "timedelta", fields: { value: [value.days, value.seconds, value.microseconds] } };
  }
  if (value instanceof Complex)
    return { kind: "complex", fields: { value: [new Float(value.re), new Float(value.im)] } };
  if (value instanceof ImageValue) return { kind: "image", fields: { format: value.format, data: value.data } };
  for (const [kind, kindClass] of TEXTS) {
    if (value instanceof kindClass) return { kind, fields: { value: value.value } };
  }
  return undefined;
}

const TEXTS = [
  ["datetime", DateTime],
  ["date", PlainDate],
  ["time", PlainTime],
  ["uuid", Uuid],
  ["decimal", Decimal],
  ["path", Path],
] as const;

/** Makes a value from its fields. Throws if they are not what the kind needs. */
type Builder = (fields: Fields) => unknown;

const BUILDERS: Readonly<Record<string, Builder>> = {
  bytes: (fields) => bytes(fields),
  float: (fields) => floatOf(text(fields)),
  int: (fields) => integerOf(text(fields)),
  ndarray: (fields) =>
    "items" in fields ? objectsOf(fields) : NDArray.fromBuffer(dtype(fields), shape(fields), bytes(fields)),
  scalar: (fields) => {
    if ("items" in fields) return new NumpyScalar(dtype(fields), list(fields));
    return new NumpyScalar(dtype(fields), NDArray.fromBuffer(dtype(fields), [], bytes(fields)).data);
  },
  datetime: (fields) => dateOf(text(fields)) ?? new DateTime(text(fields)),
  date: (fields) => new PlainDate(text(fields)),
  time: (fields) => new PlainTime(text(fields)),
  timedelta: (fields) => new TimeDelta(...(numbers(fields, 3) as [number, number, number])),
  uuid: (fields) => new Uuid(text(fields)),
  decimal: (fields) => new Decimal(text(fields)),
  path: (fields) => new Path(text(fields)),
  complex: (fields) => new Complex(...(numbers(fields, 2) as [number, number])),
  enum: (fields) => fields["value"],
  tuple: (fields) => tupleOf(list(fields)),
  set: (fields) => new Set(list(fields)),
  frozenset: (fields) => new FrozenSet(list(fields)),
  map: (fields) => mapOf(list(fields).map(pair)),
  image: (fields) => new ImageValue(text(fields, "format"), bytes(fields)),
};

/** The function that makes values of a kind; undefined if this version does not know the kind. */
export function builderOf(kind: string): Builder | undefined {
  return Object.hasOwn(BUILDERS, kind) ? BUILDERS[kind] : undefined;
}

/** Whether a field of a tagged object is bytes rather than a value. */
export function isBinary(field: string): boolean {
  return field === "data";
}

function text(fields: Fields, name = "value"): string {
  const found = fields[name];
  if (typeof found !== "string") throw new TypeError(`${name} is no text`);
  return found;
}

function bytes(fields: Fields): Uint8Array {
  const found = fields["data"];
  if (!(found instanceof Uint8Array)) throw new TypeError("data is missing");
  return found;
}

function list(fields: Fields): unknown[] {
  const found = fields["items"];
  if (!Array.isArray(found)) throw new TypeError("items is no array");
  return found;
}

function numbers(fields: Fields, count: number): number[] {
  const found = fields["value"];
  if (!Array.isArray(found) || found.length !== count || !found.every((one) => typeof one === "number")) {
    throw new TypeError(`value is not an array of ${count} numbers`);
  }
  return found as number[];
}

function pair(item: unknown): [unknown, unknown] {
  if (!Array.isArray(item) || item.length !== 2) throw new TypeError("an item of a map is no pair");
  return [item[0], item[1]];
}

/** A Map; an object if it was tagged only because one of its keys is the tag. */
function mapOf(pairs: [unknown, unknown][]): unknown {
  const isEscaped = pairs.every(([key]) => typeof key === "string") && pairs.some(([key]) => key === TAG);
  return isEscaped ? Object.fromEntries(pairs as [string, unknown][]) : new Map(pairs);
}

function dtype(fields: Fields): Dtype {
  const found = fields["dtype"];
  if (typeof found !== "string" && !Array.isArray(found)) throw new TypeError("dtype is missing");
  return found;
}

function shape(fields: Fields): number[] {
  const found = fields["shape"];
  if (!Array.isArray(found)) throw new TypeError("shape is no array");
  return found as number[]; // the array's constructor checks the numbers
}

function objectsOf(fields: Fields): NDArray {
  return new NDArray<unknown[]>(list(fields), shape(fields), dtype(fields));
}

function tupleOf(items: readonly unknown[]): Tuple {
  const tuple = new Tuple();
  for (const item of items) tuple.push(item); // not the constructor: it takes a single number for a length
  return tuple;
}

function floatOf(value: string): number {
  if (value === "nan") return NaN;
  if (value === "inf") return Infinity;
  if (value === "-inf") return -Infinity;
  throw new TypeError(`${JSON.stringify(value)} is no float`);
}

function integerOf(value: string): bigint {
  if (!/^-?\d+$/.test(value)) throw new TypeError(`${JSON.stringify(value)} is no integer`);
  return BigInt(value);
}

function dateOf(value: string): Date | undefined {
  const exact = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{3})?(?:000)?(?:\+00:00|Z)$/.exec(value);
  if (exact === null || (exact[2] === undefined && value.includes("."))) return undefined;
  const date = new Date(`${exact[1]}${exact[2] ?? ""}Z`);
  return Number.isNaN(date.getTime()) ? undefined : date;
}

function isoOf(date: Date): string {
  const year = date.getUTCFullYear(); // NaN for a Date that is none
  if (!(year >= 1 && year <= 9999)) throw new RangeError("a Date outside of the years 1 to 9999");
  return date.toISOString().replace(".000Z", "+00:00").replace("Z", "000+00:00");
}
