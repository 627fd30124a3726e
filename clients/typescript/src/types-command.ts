#!/usr/bin/env node
/** The command `openenv-types`: prints the types of an environment. */

import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";

import { typesOf } from "./schema-types.ts";
import type { EnvironmentSchemas } from "./schema-types.ts";

const USAGE = `Usage: openenv-types URL_OR_FILE [--name NAME] > env.d.ts

Writes the TypeScript types of an environment from the address of its server, or from a
file with what the server answers at /schema. NAME is that of the type to give to connect;
it is taken from the action's name unless given.`;

async function schemasFrom(source: string): Promise<EnvironmentSchemas> {
  const text = /^https?:\/\//.test(source) ? await fetched(source) : await readFile(source, "utf8");
  const found: unknown = JSON.parse(text);
  if (typeof found !== "object" || found === null || !["action", "observation", "state"].every((key) => key in found)) {
    throw new Error(`${source} has no schemas of action, observation and state`);
  }
  return found as EnvironmentSchemas;
}

async function fetched(url: string): Promise<string> {
  const address = url.replace(/\/+$/, "").replace(/\/schema$/, "");
  const response = await fetch(`${address}/schema`);
  if (!response.ok) throw new Error(`${address}/schema answered ${response.status}`);
  return await response.text();
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: { name: { type: "string" }, help: { type: "boolean", short: "h" } },
    allowPositionals: true,
  });
  const [source] = positionals;
  if (values.help === true) {
    console.log(USAGE);
  } else if (source === undefined || positionals.length > 1) {
    throw new Error(`give one URL or file\n\n${USAGE}`);
  } else {
    process.stdout.write(typesOf(await schemasFrom(source), source, values.name));
  }
}

main().catch((error: unknown) => {
  const cause = error instanceof Error && error.cause instanceof Error ? ` (${error.cause.message})` : "";
  console.error(`error: ${error instanceof Error ? error.message : String(error)}${cause}`);
  process.exitCode = 1;
});
