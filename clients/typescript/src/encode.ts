/** What both forms of values agree on when they are written: which objects are plain, and what cannot be sent. */

import { LocalProtocolError } from "./errors.ts";

/** Deepest nesting that is sent; servers refuse deeper values anyway, and a circular one has no end. */
export const MAX_DEPTH = 200;

/** Refuse a value, with its place. */
export function refuse(what: string, at: string): never {
  throw new LocalProtocolError(`${at || "the value"} cannot be sent: ${what}`);
}

export function checkDepth(depth: number, at: string): void {
  if (depth > MAX_DEPTH) refuse(`it is nested deeper than ${MAX_DEPTH}, or in itself`, at.slice(0, 100));
}

export function checkText(text: string, at: string): string {
  if (!text.isWellFormed()) refuse("text with half of a surrogate pair", at);
  return text;
}

/** The entries of an object that is made of its own properties; undefined ones are left out, as in JSON. */
export function entriesOf(value: object, at: string): [string, unknown][] {
  const prototype: unknown = Object.getPrototypeOf(value);
  const isPlain = prototype === null || Object.getPrototypeOf(prototype) === null;
  if (!isPlain) refuse(`a ${(value.constructor as { name?: string } | undefined)?.name ?? "foreign object"}`, at);
  return Object.entries(value).filter((entry) => entry[1] !== undefined);
}

/** What an object of a foreign class gives for JSON, if it says so. */
export function jsonOf(value: object): unknown {
  const method = (value as { toJSON?: unknown }).toJSON;
  return typeof method === "function" ? method.call(value) : value;
}

/** Set a property, also one that is called `__proto__`. */
export function put(target: Record<string, unknown>, key: string, value: unknown): void {
  if (key === "__proto__") {
    Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
  } else {
    target[key] = value;
  }
}
