/** Holds the client to the golden frames that the server and the Python client are held to. */

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

import { fromJsonText, toJsonText } from "../src/json.ts";
import { CODECS } from "../src/messages.ts";
import { fromMsgpack, toMsgpack } from "../src/msgpack.ts";

interface Golden {
  readonly frame: Record<string, unknown>;
  /** The same in msgpack, in hexadecimal digits. */
  readonly msgpack?: string;
  readonly direction?: "request" | "reply";
  readonly message?: Record<string, unknown>;
}

function golden(folder: string): [string, Golden][] {
  const place = new URL(`../../../tests/wire/golden/${folder}/`, import.meta.url);
  const names = readdirSync(place).filter((name) => name.endsWith(".json"));
  assert.ok(names.length > 0);
  return names.sort().map((name) => [name, JSON.parse(readFileSync(new URL(name, place), "utf8")) as Golden]);
}

for (const [name, { direction, message, frame, msgpack }] of golden("v2")) {
  const text = JSON.stringify(frame);
  if (direction === "reply") {
    test(`v2/${name} is read`, () => {
      for (const reply of [CODECS.json.decode(text), msgpack && CODECS.msgpack.decode(bytesOf(msgpack).buffer)]) {
        if (!reply) continue;
        assert.equal(reply.type, message?.["type"]);
        assert.equal(reply.session, message?.["session"] ?? "");
        assert.equal(reply.id, message?.["id"] ?? 0);
      }
      assert.ok(CODECS.json.decode(text));
    });
  }
  test(`v2/${name} is written as it came`, () => {
    assert.deepEqual(JSON.parse(toJsonText(fromJsonText(text))), frame);
    if (msgpack === undefined) return;
    // a whole float comes back as an integer, so the bytes may differ
    assert.deepEqual(fromMsgpack(bytesOf(msgpack)), fromJsonText(text));
    assert.deepEqual(fromMsgpack(toMsgpack(fromMsgpack(bytesOf(msgpack)))), fromJsonText(text));
  });
}

for (const [name, { frame, msgpack }] of golden("values")) {
  test(`values/${name} is read and written as it came`, () => {
    assert.ok(msgpack);
    const value = fromJsonText(JSON.stringify(frame));
    assert.deepEqual(fromMsgpack(bytesOf(msgpack)), value);
    if (name === "enum.json") return assert.deepEqual(value, frame["value"]); // it arrives as its value
    assert.deepEqual(JSON.parse(toJsonText(value)), frame);
    assert.equal(Buffer.from(toMsgpack(value)).toString("hex"), msgpack);
  });
}

function bytesOf(hex: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}
