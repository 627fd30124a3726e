/** Values as the text of v2 JSON: plain where JSON has them, tagged objects where it does not. */

import { MAX_DEPTH, checkDepth, checkText, entriesOf, jsonOf, refuse } from "./encode.ts";
import { LARGEST_INTEGER, SMALLEST_INTEGER, TAG, builderOf, describe, isBinary } from "./kinds.ts";
import type { Tagged } from "./kinds.ts";
import { Float, Tuple } from "./values.ts";

/** The JSON text of a value. Throws a LocalProtocolError that says where something cannot be sent. */
export function toJsonText(value: unknown, at = ""): string {
  return write(value, at, 0);
}

function write(value: unknown, at: string, depth: number): string {
  switch (typeof value) {
    case "string":
      return JSON.stringify(checkText(value, at));
    case "boolean":
      return value ? "true" : "false";
    case "number":
      return writeNumber(value, !Number.isSafeInteger(value) || Object.is(value, -0));
    case "bigint":
      if (value >= SMALLEST_INTEGER && value <= LARGEST_INTEGER) return value.toString();
      return `{"${TAG}":"int","value":"${value}"}`;
    case "object":
      return value === null ? "null" : writeObject(value, at, depth);
    default:
      return refuse(typeof value === "undefined" ? "undefined" : `a ${typeof value}`, at);
  }
}

function writeNumber(value: number, isFloat: boolean): string {
  if (Number.isNaN(value)) return `{"${TAG}":"float","value":"nan"}`;
  if (!Number.isFinite(value)) return `{"${TAG}":"float","value":"${value < 0 ? "-inf" : "inf"}"}`;
  const text = Object.is(value, -0) ? "-0" : String(value);
  return isFloat && !/[.e]/.test(text) ? `${text}.0` : text;
}

function writeObject(value: object, at: string, depth: number): string {
  checkDepth(depth, at);
  if (value instanceof Float) return writeNumber(value.value, true);
  if (value instanceof Uint8Array) return `{"${TAG}":"bytes","data":"${toBase64(value)}"}`;
  if (Array.isArray(value) && !(value instanceof Tuple)) {
    return `[${value.map((item, index) => write(item, `${at}[${index}]`, depth + 1)).join(",")}]`;
  }
  const tagged = taggedOf(value, at);
  if (tagged !== undefined) return writeTagged(tagged, at, depth);
  const json = jsonOf(value);
  if (json !== value) return write(json, at, depth + 1);
  const entries = entriesOf(value, at);
  if (entries.some(([key]) => key === TAG)) {
    return writeTagged({ kind: "map", fields: { items: entries } }, at, depth);
  }
  return `{${entries.map((entry) => writeField(...entry, at, depth)).join(",")}}`;
}

function writeField(key: string, value: unknown, at: string, depth: number): string {
  return `${JSON.stringify(checkText(key, at))}:${write(value, at ? `${at}.${key}` : key, depth + 1)}`;
}

function writeTagged({ kind, fields }: Tagged, at: string, depth: number): string {
  const written = Object.entries(fields).map(([name, field]) =>
    isBinary(name) ? `"${name}":"${toBase64(field as Uint8Array)}"` : `"${name}":${write(field, at, depth + 1)}`,
  );
  return `{"${TAG}":"${kind}",${written.join(",")}}`;
}

/** `describe`, with the place of what cannot be sent. */
export function taggedOf(value: object, at: string): Tagged | undefined {
  try {
    return describe(value);
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error), at);
  }
}

/** The value of a JSON text. Throws any Error if it is no JSON, or a tagged object is not what it should be. */
export function fromJsonText(text: string): unknown {
  return read(JSON.parse(withLargeIntegersTagged(text)), 0);
}

function read(value: unknown, depth: number): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (depth > 2 * MAX_DEPTH) throw new RangeError("it is nested too deeply");
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) value[index] = read(value[index], depth + 1);
    return value;
  }
  const object = value as Record<string, unknown>;
  const kind = Object.hasOwn(object, TAG) ? object[TAG] : undefined;
  if (kind === undefined) {
    for (const key of Object.keys(object)) object[key] = read(object[key], depth + 1);
    return object;
  }
  const build = typeof kind === "string" ? builderOf(kind) : undefined;
  if (build === undefined) return object; // of a later version: as it came
  for (const key of Object.keys(object)) {
    const field = object[key];
    object[key] = isBinary(key) && typeof field === "string" ? fromBase64(field) : read(field, depth + 1);
  }
  return build(object);
}

/** JSON.parse rounds integers beyond 2**53; these are tagged in the text, so that they become a bigint. */
function withLargeIntegersTagged(text: string): string {
  if (!/\d{16}/.test(text)) return text;
  const number = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
  const parts: string[] = [];
  let done = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x22) {
      at = endOfString(text, at);
    } else if (code === 0x2d || (code >= 0x30 && code <= 0x39)) {
      number.lastIndex = at;
      const found = number.exec(text)?.[0] ?? "-";
      if (found.length >= 16 && /^-?\d+$/.test(found) && !Number.isSafeInteger(Number(found))) {
        parts.push(text.slice(done, at), `{"${TAG}":"int","value":"${found}"}`);
        done = at + found.length;
      }
      at += found.length - 1;
    }
  }
  return parts.length === 0 ? text : parts.join("") + text.slice(done);
}

/** Where the quotation mark is that ends the string which begins there. */
function endOfString(text: string, start: number): number {
  let end = start;
  for (;;) {
    end = text.indexOf('"', end + 1);
    if (end < 0) return text.length;
    let backslashes = 0;
    while (text[end - 1 - backslashes] === "\\") backslashes++;
    if (backslashes % 2 === 0) return end;
  }
}

const CHUNK = 0x8000; // arguments that one call may have on every platform

export function toBase64(bytes: Uint8Array): string {
  const parts: string[] = [];
  for (let at = 0; at < bytes.length; at += CHUNK) {
    parts.push(String.fromCharCode(...bytes.subarray(at, at + CHUNK)));
  }
  return btoa(parts.join(""));
}

export function fromBase64(text: string): Uint8Array {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at++) bytes[at] = binary.charCodeAt(at);
  return bytes;
}
