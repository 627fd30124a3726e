/** A schema with everything that makes names and types collide, and what has to come of it. */

export const NASTY = {
  action: {
    title: "Move*/Action",
    description: "Ends a comment: */\nand goes on.",
    type: "object",
    additionalProperties: false,
    required: ["class", "a-b", "tree"],
    properties: {
      class: { enum: ["x", 1, true, null, 'quo"te'] },
      "a-b": { anyOf: [{ type: "integer" }, { type: "null" }], description: "With a dash." },
      tree: { $ref: "#/$defs/Node" },
      grid: { type: "array", items: { anyOf: [{ type: "string" }, { type: "array", items: { type: "number" } }] } },
      pair: { type: "array", prefixItems: [{ type: "string" }, { type: "integer" }], minItems: 2, maxItems: 2 },
      rest: { type: "array", prefixItems: [{ const: "head" }], items: { type: "boolean" } },
      picture: { "x-openenv": { kind: "ndarray", dtype: "<f4", shape: [2, 2] }, type: "array", items: {} },
      cells: {
        "x-openenv": {
          kind: "map",
          keys: { "x-openenv": { kind: "tuple" }, type: "array", items: { type: "integer" } },
        },
        type: "object",
        additionalProperties: { type: "string" },
      },
      when: { "x-openenv": { kind: "datetime" }, type: "string", format: "date-time" },
      names: { "x-openenv": { kind: "set" }, type: "array", items: { type: "string" }, uniqueItems: true },
      inside: { type: "object", required: ["deep"], properties: { deep: { type: ["string", "null"] } } },
      union: { oneOf: [{ $ref: "#/$defs/Cat" }, { $ref: "#/$defs/Dog" }], discriminator: { propertyName: "kind" } },
      both: { allOf: [{ $ref: "#/$defs/Cat" }, { type: "object", properties: { extra: { type: "number" } } }] },
      lost: { $ref: "#/$defs/Nowhere" },
      anything: true,
      never: false,
      __proto__x: { type: "null" },
    },
    $defs: {
      Node: {
        type: "object",
        properties: {
          children: { type: "array", items: { $ref: "#/$defs/Node" } },
          colour: { $ref: "#/$defs/Colour" },
        },
      },
      Colour: { title: "Colour", type: "string", enum: ["red", "green"] },
      Cat: { type: "object", required: ["kind"], properties: { kind: { const: "cat" } } },
      Dog: { type: "object", required: ["kind"], properties: { kind: { const: "dog" } } },
    },
  },
  observation: {
    title: "Move*/Action",
    type: "object",
    properties: {
      done: { type: "boolean" },
      reward: { type: "number" },
      metadata: { type: "object" },
      data: { "x-openenv": { kind: "bytes" }, type: "string" },
      later: { "x-openenv": { kind: "quaternion" }, type: "array", items: { type: "number" } },
      node: { $ref: "#/$defs/Node" },
      string: { $ref: "#/$defs/string" },
    },
    $defs: { Node: { type: "object", additionalProperties: { type: "integer" } }, string: { type: "integer" } },
  },
  state: {
    $ref: "#/$defs/Recursive",
    $defs: { Recursive: { type: "object", properties: { next: { $ref: "#/$defs/Recursive" } } } },
  },
} as const;

/** Statements about the types that were written: each line compiles, or has to fail where it says so. */
export const STATEMENTS = `
import type { Move } from "./env.js";
import { NDArray, Float, Tuple, connect } from "openenv-client";

declare const seen: Move["observation"];
declare const state: Move["state"];
const bytes: Uint8Array = seen.data;
const numbers: number[] = seen.later;
const count: number | undefined = seen.node["x"];
const whole: number = seen.string;
const next = state.next.next;

const move: Move["action"] = { class: "x", "a-b": null, tree: { children: [{ colour: "red" }] } };
const full: Move["action"] = {
  ...move, pair: ["a", 1n], rest: ["head", true, false], grid: ["a", [1, 2]],
  picture: new NDArray(Float32Array.of(1, 2, 3, 4), [2, 2]), when: "2026-03-01T10:00:00Z", names: new Set(["a"]),
  inside: { deep: null }, union: { kind: "dog" }, both: { kind: "cat", extra: 1 }, anything: new Float(1),
};
const cells: Move["action"] = { ...move, cells: new Map([[Tuple.of(1, 2), "x"]]) };
// @ts-expect-error the keys are tuples
const noCells: Move["action"] = { ...move, cells: new Map([[1, "x"]]) };
const alsoPlain: Move["action"] = { ...move, picture: [1, 2], names: ["a"], when: new Date() };
// @ts-expect-error a field is missing
const short: Move["action"] = { class: "x", "a-b": null };
// @ts-expect-error none of the values
const other: Move["action"] = { ...move, class: "y" };
// @ts-expect-error three instead of two
const three: Move["action"] = { ...move, pair: ["a", 1, 2] };
// @ts-expect-error another kind of animal
const bird: Move["action"] = { ...move, union: { kind: "bird" } };
// @ts-expect-error travels beside the observation
const done = seen.done;
// @ts-expect-error no such colour
const blue: Move["action"] = { ...move, tree: { colour: "blue" } };

export async function play(): Promise<Uint8Array> {
  const connection = await connect<Move>("http://localhost:8000");
  const session = await connection.open();
  // @ts-expect-error no action
  await session.step({ amount: 1 });
  return (await session.step(full)).observation.data;
}
export { cells, noCells, alsoPlain, bytes, numbers, count, whole, next, short, other, three, bird, done, blue };
`;
