/** How numpy lays the items of an array out in bytes, and the JavaScript arrays that hold them. */

/** numpy's `dtype.str`, such as `"<f4"`, or its `dtype.descr`, a list, for structured items. */
export type Dtype = string | readonly unknown[];

export type NumberArray =
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array;

interface ArrayClass {
  new (buffer: ArrayBuffer): NumberArray;
  readonly BYTES_PER_ELEMENT: number;
}

type Layout =
  | { readonly store: "numbers"; readonly itemsize: number; readonly array: ArrayClass; readonly swap: boolean }
  | { readonly store: "halves"; readonly itemsize: 2; readonly swap: boolean }
  | { readonly store: "text"; readonly itemsize: number; readonly swap: boolean }
  | { readonly store: "raw"; readonly itemsize: number };

const ARRAYS: Readonly<Record<string, ArrayClass>> = {
  b1: Uint8Array,
  i1: Int8Array,
  i2: Int16Array,
  i4: Int32Array,
  i8: BigInt64Array,
  u1: Uint8Array,
  u2: Uint16Array,
  u4: Uint32Array,
  u8: BigUint64Array,
  f4: Float32Array,
  f8: Float64Array,
  c8: Float32Array,
  c16: Float64Array, // two numbers an item: real and imaginary part
  M8: BigInt64Array,
  m8: BigInt64Array, // counts of the unit that the dtype names
};
const HOST_IS_LITTLE = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** The layout of a dtype. Throws a RangeError if it is none. */
export function layoutOf(dtype: Dtype): Layout {
  if (typeof dtype !== "string") return { store: "raw", itemsize: itemsizeOfFields(dtype) };
  const parts = /^([<>|=])([a-zA-Z])(\d+)(?:\[[^\]]*\])?$/.exec(dtype);
  if (parts === null) throw new RangeError(`${JSON.stringify(dtype)} is no dtype`);
  const [order, kind, digits] = [parts[1]!, parts[2]!, parts[3]!];
  const size = Number(digits);
  const swap = (order === "<" && !HOST_IS_LITTLE) || (order === ">" && HOST_IS_LITTLE);
  const array = ARRAYS[kind + digits];
  if (array !== undefined) {
    return { store: "numbers", itemsize: size, array, swap: swap && array.BYTES_PER_ELEMENT > 1 };
  }
  if (kind === "f" && size === 2) return { store: "halves", itemsize: 2, swap };
  if (kind === "U") return { store: "text", itemsize: 4 * size, swap };
  return { store: "raw", itemsize: size };
}

function itemsizeOfFields(fields: readonly unknown[]): number {
  let size = 0;
  for (const field of fields) {
    if (!Array.isArray(field) || field.length < 2) throw new RangeError("a structured dtype is a list of fields");
    const [, dtype, shape] = field as [unknown, unknown, unknown];
    if (typeof dtype !== "string" && !Array.isArray(dtype)) throw new RangeError("a field has no dtype");
    const times = shape === undefined ? 1 : countOf(Array.isArray(shape) ? shape : [shape]);
    size += layoutOf(dtype).itemsize * times;
  }
  return size;
}

/** How many items an array of that shape has. Throws a RangeError if it is no shape. */
export function countOf(shape: readonly unknown[]): number {
  let count = 1;
  for (const length of shape) {
    if (typeof length !== "number" || !Number.isSafeInteger(length) || length < 0) {
      throw new RangeError(`${JSON.stringify(shape)} is no shape`);
    }
    count *= length;
  }
  if (!Number.isSafeInteger(count)) throw new RangeError(`${JSON.stringify(shape)} is too large`);
  return count;
}

/** The items in a C-order buffer: numbers, text for `U`, and the bytes themselves where JavaScript has no such item. */
export function unpack(dtype: Dtype, count: number, buffer: Uint8Array): NumberArray | string[] {
  const layout = layoutOf(dtype);
  if (buffer.byteLength !== count * layout.itemsize) {
    throw new RangeError(`${buffer.byteLength} bytes are not ${count} items of ${layout.itemsize} bytes`);
  }
  const own = buffer.slice(); // aligned, and not kept alive by the frame it came in
  switch (layout.store) {
    case "raw":
      return own;
    case "numbers":
      if (layout.swap) swapBytes(own, layout.array.BYTES_PER_ELEMENT);
      return new layout.array(own.buffer);
    case "halves":
      if (layout.swap) swapBytes(own, 2);
      return Float32Array.from(new Uint16Array(own.buffer), numberOfHalf);
    case "text":
      if (layout.swap) swapBytes(own, 4);
      return textsOf(new Uint32Array(own.buffer), layout.itemsize / 4, count);
  }
}

/** The reverse of `unpack`. Throws a RangeError if the data do not fit dtype and count. */
export function pack(dtype: Dtype, count: number, data: NumberArray | readonly string[]): Uint8Array {
  const layout = layoutOf(dtype);
  if (layout.store === "text") {
    if (ArrayBuffer.isView(data)) throw new RangeError(`the data of ${String(dtype)} are texts`);
    const packed = bytesOf(codesOf(data as readonly string[], layout.itemsize / 4));
    return checked(packed, layout.swap ? 4 : 1, count * layout.itemsize);
  }
  if (!ArrayBuffer.isView(data)) throw new RangeError(`the data of ${JSON.stringify(dtype)} are a typed array`);
  if (layout.store === "halves") {
    if (!(data instanceof Float32Array)) throw new RangeError(`the data of ${String(dtype)} are a Float32Array`);
    return checked(bytesOf(Uint16Array.from(data, halfOfNumber)), layout.swap ? 2 : 1, 2 * count);
  }
  const expected = layout.store === "numbers" ? layout.array : Uint8Array;
  if (data.constructor !== expected && !(data instanceof Uint8ClampedArray && expected === Uint8Array)) {
    throw new RangeError(`the data of ${JSON.stringify(dtype)} are not a ${data.constructor.name}`);
  }
  return checked(
    bytesOf(data),
    layout.store === "numbers" && layout.swap ? data.BYTES_PER_ELEMENT : 1,
    count * layout.itemsize,
  );
}

const KINDS: Readonly<Record<string, string>> = {
  Int8Array: "i",
  Int16Array: "i",
  Int32Array: "i",
  BigInt64Array: "i",
  Uint8Array: "u",
  Uint8ClampedArray: "u",
  Uint16Array: "u",
  Uint32Array: "u",
  BigUint64Array: "u",
  Float32Array: "f",
  Float64Array: "f",
};

/** The dtype of a typed array of this machine. Throws a RangeError for those that there is no dtype for. */
export function dtypeOf(data: NumberArray): string {
  const name = Object.prototype.toString.call(data).slice(8, -1);
  const kind = KINDS[name];
  if (kind === undefined) throw new RangeError(`a ${name}; copy it into a Float32Array`);
  const order = data.BYTES_PER_ELEMENT === 1 ? "|" : HOST_IS_LITTLE ? "<" : ">";
  return `${order}${kind}${data.BYTES_PER_ELEMENT}`;
}

function bytesOf(view: NumberArray): Uint8Array<ArrayBuffer> {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice();
}

function checked(packed: Uint8Array<ArrayBuffer>, unit: number, length: number): Uint8Array {
  if (packed.byteLength !== length) throw new RangeError(`${packed.byteLength} bytes where ${length} are needed`);
  swapBytes(packed, unit);
  return packed;
}

function swapBytes(bytes: Uint8Array, unit: number): void {
  if (unit === 1) return;
  for (let at = 0; at < bytes.length; at += unit) bytes.subarray(at, at + unit).reverse();
}

function textsOf(codes: Uint32Array, width: number, count: number): string[] {
  const texts: string[] = [];
  for (let index = 0; index < count; index++) {
    let end = (index + 1) * width;
    while (end > index * width && codes[end - 1] === 0) end--; // numpy fills up with zeros
    texts.push(Array.from(codes.subarray(index * width, end), (code) => String.fromCodePoint(code)).join(""));
  }
  return texts;
}

function codesOf(texts: readonly string[], width: number): Uint32Array {
  const codes = new Uint32Array(texts.length * width);
  texts.forEach((text, index) => {
    const own = Array.from(text, (character) => character.codePointAt(0)!);
    if (own.length > width) throw new RangeError(`${JSON.stringify(text)} is longer than ${width} characters`);
    codes.set(own, index * width);
  });
  return codes;
}

function numberOfHalf(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** The nearest half, ties to even, as IEEE 754 rounds. */
function halfOfNumber(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (size >= 65520) return sign | 0x7c00;
  const exponent = Math.max(Math.floor(Math.log2(size)), -14);
  const unit = 2 ** (size === 0 ? -24 : exponent - 10);
  const steps = size / unit; // exact: the unit is a power of two
  let whole = Math.floor(steps);
  const rest = steps - whole;
  if (rest > 0.5 || (rest === 0.5 && whole % 2 === 1)) whole++;
  // a carry out of the fraction raises the exponent, which is what adding does
  return sign | (size === 0 ? 0 : (exponent + 14) * 1024 + whole);
}
