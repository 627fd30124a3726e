/** Types that are written from schemas: the compiler itself says whether they are right. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync, mkdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { typesOf } from "../src/schema-types.ts";
import { NASTY, STATEMENTS } from "./nasty.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/** What the compiler says of these files; empty if nothing is wrong. */
function compile(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), "openenv-types-"));
  try {
    mkdirSync(join(folder, "node_modules"));
    symlinkSync(root, join(folder, "node_modules", "openenv-client"), "dir");
    const compilerOptions = {
      target: "es2022",
      module: "nodenext",
      lib: ["es2022", "dom"],
      strict: true,
      noEmit: true,
      types: [],
      noUncheckedIndexedAccess: true,
      skipLibCheck: false,
    };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    const done = spawnSync(process.execPath, [join(root, "node_modules", "typescript", "bin", "tsc"), "-p", folder], {
      encoding: "utf8",
    });
    assert.equal(done.error, undefined);
    assert.equal(done.status === 0, done.stdout === "", done.stderr);
    return done.stdout;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("the types of a nasty schema say what it says", () => {
  assert.equal(compile({ "env.d.ts": typesOf(NASTY, "nasty\nschema", "Move"), "statements.ts": STATEMENTS }), "");
});

test("a name is made from the action's title unless one is given", () => {
  const empty = { type: "object" };
  const named = (title: string | undefined, name?: string) =>
    /connect<(.*?)>/.exec(
      typesOf({ action: { ...empty, ...(title && { title }) }, observation: empty, state: empty }, "x", name),
    )?.[1];
  assert.equal(named("EchoAction"), "Echo");
  assert.equal(named("Action"), "Env");
  assert.equal(named(undefined), "Env");
  assert.equal(named("Box[int]Action"), "Box_int");
  assert.equal(named("2048Action"), "Type2048");
  assert.equal(named("StringAction", "string"), "stringType");
});
