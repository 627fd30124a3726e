/** Python's values that JavaScript has no equal of. */

import { countOf, dtypeOf, pack, unpack } from "./dtype.ts";
import type { Dtype, NumberArray } from "./dtype.ts";

/** What an `NDArray` holds: numbers, texts of a `U` array, or any values of an object array. */
export type ArrayData = NumberArray | unknown[];

/**
 * A numpy array.
 *
 * `data` has the items in C order. Complex items take two numbers each; datetimes and timedeltas are counts of the unit
 * in the dtype; float16 is held as a Float32Array and sent as float16; what JavaScript has no items for (`S`, `V`, long
 * double, structured) is a Uint8Array of the buffer as it came.
 */
export class NDArray<D extends ArrayData = ArrayData> {
  readonly data: D;
  readonly shape: readonly number[];
  /** numpy's `dtype.str`, such as `"<f4"`, or the list `dtype.descr` of a structured array. */
  readonly dtype: Dtype;

  /** Without `shape` it is one-dimensional, without `dtype` that of the typed array, or `"|O"` for any values. */
  constructor(data: D, shape: readonly number[] = [data.length], dtype?: Dtype) {
    this.data = data;
    this.shape = shape;
    this.dtype = dtype ?? (ArrayBuffer.isView(data) ? dtypeOf(data) : "|O");
    const count = countOf(shape);
    if (!this.hasValues) pack(this.dtype, count, data as NumberArray | string[]);
    else if (ArrayBuffer.isView(data) || data.length !== count) {
      throw new RangeError(`an array of shape ${JSON.stringify(shape)} holds ${count} values`);
    }
  }

  /** Whether its items are any values, each by itself, rather than parts of a buffer: object arrays above all. */
  get hasValues(): boolean {
    if (this.dtype === "|O") return true;
    const isText = typeof this.dtype === "string" && /^[<>|=]U/.test(this.dtype);
    return !ArrayBuffer.isView(this.data) && !isText;
  }

  /** Number of items. */
  get size(): number {
    return countOf(this.shape);
  }

  /** The items as nested arrays, as numpy's `tolist` gives them; a single item for an array without dimensions. */
  toNestedArray(): unknown {
    if (this.data.length !== this.size) throw new RangeError(`${JSON.stringify(this.dtype)} has no single items`);
    let level: unknown[] = Array.from(this.data as ArrayLike<unknown>);
    for (const length of this.shape.slice(1).reverse()) {
      const rows = length === 0 ? 0 : level.length / length;
      level = Array.from({ length: rows }, (_, row) => level.slice(row * length, (row + 1) * length));
    }
    return this.shape.length === 0 ? level[0] : level;
  }

  /** The items as the C-order buffer that travels. Throws a TypeError if it has none. */
  toBuffer(): Uint8Array {
    if (this.hasValues) throw new TypeError("an array of any values has no buffer");
    return pack(this.dtype, this.size, this.data as NumberArray | string[]);
  }

  static fromBuffer(dtype: Dtype, shape: readonly number[], buffer: Uint8Array): NDArray {
    return new NDArray<ArrayData>(unpack(dtype, countOf(shape), buffer), shape, dtype);
  }
}

/** A single item of a numpy dtype, such as `np.float32(1.5)`. Counts as its number in arithmetic. */
export class NumpyScalar {
  /** An array without dimensions. */
  readonly array: NDArray;

  constructor(dtype: Dtype, data: ArrayData) {
    this.array = new NDArray<ArrayData>(data, [], dtype);
  }

  get dtype(): Dtype {
    return this.array.dtype;
  }

  /** The item; the array's data where an item is more than one number or byte. */
  get value(): unknown {
    const { data, dtype } = this.array;
    if (data.length !== 1) return data;
    return typeof dtype === "string" && dtype.endsWith("b1") ? data[0] === 1 : data[0];
  }

  valueOf(): unknown {
    return this.value;
  }
}

abstract class Text {
  readonly value: string;

  constructor(value: string) {
    this.value = value;
  }

  toString(): string {
    return this.value;
  }

  toJSON(): string {
    return this.value;
  }
}

/**
 * A date with a time, in ISO 8601, that a `Date` cannot hold exactly: one without an offset, with another offset than
 * UTC's, or with microseconds. Exact ones arrive as `Date`.
 */
export class DateTime extends Text {
  declare private readonly kind: "datetime";

  /** The nearest `Date`; without an offset in this machine's time zone. */
  toDate(): Date {
    return new Date(this.value.replace(/(\.\d{3})\d+/, "$1"));
  }
}
/** A day, as `2026-03-01`. */
export class PlainDate extends Text {
  declare private readonly kind: "date";
}
/** A time of day, as `12:30:00.000001+02:00`. */
export class PlainTime extends Text {
  declare private readonly kind: "time";
}
export class Uuid extends Text {
  declare private readonly kind: "uuid";
}
/** A decimal number of any length, as text. */
export class Decimal extends Text {
  declare private readonly kind: "decimal";
}
/** A path of the server's file system. */
export class Path extends Text {
  declare private readonly kind: "path";
}

/** A span of time as Python keeps it: the days may be negative, seconds and microseconds are not. */
export class TimeDelta {
  readonly days: number;
  readonly seconds: number;
  readonly microseconds: number;

  constructor(days: number, seconds = 0, microseconds = 0) {
    this.days = days;
    this.seconds = seconds;
    this.microseconds = microseconds;
  }

  get totalSeconds(): number {
    return this.days * 86400 + this.seconds + this.microseconds / 1e6;
  }
}

export class Complex {
  readonly re: number;
  readonly im: number;

  constructor(re: number, im: number) {
    this.re = re;
    this.im = im;
  }
}

/** A number that arrives in Python as float, also where it is whole: JavaScript does not tell 1.0 from 1. */
export class Float {
  readonly value: number;

  constructor(value: number) {
    this.value = value;
  }

  valueOf(): number {
    return this.value;
  }
}

/** A Python tuple: an array in every respect but that it is sent as a tuple. Make one with `Tuple.of(1, 2)`. */
export class Tuple<T = unknown> extends Array<T> {
  static override get [Symbol.species](): ArrayConstructor {
    return Array; // what `map` and `filter` make of a tuple is a list
  }

  static override of<T>(...items: T[]): Tuple<T> {
    return super.of(...items) as Tuple<T>;
  }
}

/** A Python frozenset. */
export class FrozenSet<T = unknown> extends Set<T> {}

/** A picture in an image format. */
export class ImageValue {
  /** Name of the format, such as `png`. */
  readonly format: string;
  readonly data: Uint8Array;

  constructor(format: string, data: Uint8Array) {
    this.format = format;
    this.data = data;
  }
}
