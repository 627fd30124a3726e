/** Writes the TypeScript types of an environment from its JSON Schemas. */

type Schema = boolean | { readonly [keyword: string]: unknown };

/** What a server answers at `/schema`. */
export interface EnvironmentSchemas {
  readonly action: Schema;
  readonly observation: Schema;
  readonly state: Schema;
}

/** The classes of this package that values of a kind arrive as. Where a kind has items, `T` stands for their type. */
const CLASSES: Readonly<Record<string, { readonly type: string; readonly imports: readonly string[] }>> = {
  bytes: { type: "Uint8Array", imports: [] },
  float: { type: "number", imports: [] },
  int: { type: "number | bigint", imports: [] },
  ndarray: { type: "NDArray", imports: ["NDArray"] },
  scalar: { type: "NumpyScalar", imports: ["NumpyScalar"] },
  datetime: { type: "Date | DateTime", imports: ["DateTime"] },
  date: { type: "PlainDate", imports: ["PlainDate"] },
  time: { type: "PlainTime", imports: ["PlainTime"] },
  timedelta: { type: "TimeDelta", imports: ["TimeDelta"] },
  uuid: { type: "Uuid", imports: ["Uuid"] },
  decimal: { type: "Decimal", imports: ["Decimal"] },
  path: { type: "Path", imports: ["Path"] },
  complex: { type: "Complex", imports: ["Complex"] },
  image: { type: "ImageValue", imports: ["ImageValue"] },
  set: { type: "Set<T>", imports: [] },
  frozenset: { type: "FrozenSet<T>", imports: ["FrozenSet"] },
  tuple: { type: "Tuple<T>", imports: ["Tuple"] },
  map: { type: "Map<K, T>", imports: [] },
};

const BESIDE_THE_OBSERVATION = new Set(["done", "reward", "terminated", "truncated", "metadata"]);
const TAKEN = new Set([
  "any",
  "bigint",
  "boolean",
  "never",
  "null",
  "number",
  "object",
  "string",
  "symbol",
  "undefined",
  "unknown",
  "void",
  "Date",
  "Map",
  "Set",
  "Record",
  "Uint8Array",
  ...Object.values(CLASSES).flatMap((one) => one.imports),
]);

/** The text of a `.d.ts` file. `name` is that of the type to give to `connect`; default: from the action's title. */
export function typesOf(schemas: EnvironmentSchemas, source: string, name?: string): string {
  const own = identifier(name ?? nameOf(schemas.action));
  const writer = new TypeWriter(own);
  const parts = {
    action: writer.root(schemas.action, `${own}Action`, "sent"),
    observation: writer.root(withoutBeside(schemas.observation), `${own}Observation`, "received"),
    state: writer.root(schemas.state, `${own}State`, "received"),
  };
  const fields = Object.entries(parts).map(([part, type]) => `  readonly ${part}: ${type};\n`);
  const imports = [...writer.imports].sort();
  return [
    `// Written by openenv-types from ${source.replace(/[\r\n]/g, " ")}. Run it again when that has changed.\n`,
    ...(imports.length > 0 ? [`import type { ${imports.join(", ")} } from "openenv-client";\n`] : []),
    ...writer.declarations,
    `/** The types of the environment: \`connect<${own}>(url)\`. */\nexport interface ${own} {\n${fields.join("")}}\n`,
  ].join("\n");
}

function nameOf(action: Schema): string {
  const title = typeof action === "object" ? action["title"] : undefined;
  const stem = typeof title === "string" ? title.replace(/Action$/, "") : "";
  return stem || "Env";
}

/** Reward and the like travel beside the observation, not in it. */
function withoutBeside(schema: Schema): Schema {
  if (typeof schema === "boolean" || !isObject(schema["properties"])) return schema;
  const kept = Object.entries(schema["properties"]).filter(([property]) => !BESIDE_THE_OBSERVATION.has(property));
  return { ...schema, properties: Object.fromEntries(kept) };
}

const COMBINING = ["$ref", "const", "enum", "anyOf", "oneOf", "allOf", "x-openenv"];

type Direction = "sent" | "received";

class TypeWriter {
  readonly declarations: string[] = [];
  readonly imports = new Set<string>();
  readonly #taken: Set<string>; // names
  #definitions: Readonly<Record<string, unknown>> = {}; // of the root that is being written
  #names = new Map<string, string>(); // of these definitions
  #rootName = "";
  #direction: Direction = "received";

  constructor(own: string) {
    this.#taken = new Set([...TAKEN, own]);
  }

  /** Declare the type of a whole schema, and return its name. */
  root(schema: Schema, fallback: string, direction: Direction): string {
    const definitions = typeof schema === "object" ? schema["$defs"] : undefined;
    this.#definitions = isObject(definitions) ? definitions : {};
    this.#names = new Map();
    this.#direction = direction;
    const title = typeof schema === "object" ? schema["title"] : undefined;
    this.#rootName = this.#free(typeof title === "string" ? title : fallback);
    this.#declare(this.#rootName, schema);
    return this.#rootName;
  }

  #free(wanted: string): string {
    const stem = identifier(wanted);
    let name = stem;
    for (let number = 2; this.#taken.has(name); number++) name = `${stem}${number}`;
    this.#taken.add(name);
    return name;
  }

  #declare(name: string, schema: Schema): void {
    const at = this.declarations.push("") - 1; // before what it refers to
    const about = typeof schema === "object" ? comment(schema["description"], "") : "";
    const body = this.#type(schema, "");
    const isInterface = body.startsWith("{") && isObject(schema) && !COMBINING.some((keyword) => keyword in schema);
    this.declarations[at] = `${about}export ${isInterface ? `interface ${name} ${body}` : `type ${name} = ${body};`}\n`;
  }

  #type(schema: unknown, indent: string): string {
    if (schema === false) return "never";
    if (!isObject(schema)) return "unknown";
    const kind = kindOf(schema);
    if (kind !== undefined) return this.#ofKind(kind, schema, indent);
    return this.#plain(schema, indent);
  }

  #ofKind(kind: string, schema: Readonly<Record<string, unknown>>, indent: string): string {
    const known = Object.hasOwn(CLASSES, kind) ? CLASSES[kind] : undefined;
    const plain = this.#plain(schema, indent);
    if (known === undefined) return plain;
    for (const name of known.imports) this.imports.add(name);
    const arrived = known.type
      .replace(/\bK\b/, () =>
        this.#type(isObject(schema["x-openenv"]) ? schema["x-openenv"]["keys"] : undefined, indent),
      )
      .replace(/\bT>/, () => `${this.#itemOf(schema, indent)}>`);
    // the server also takes the plain form of what it sends as a class
    return this.#direction === "sent" && plain !== "unknown" ? union([arrived, plain]) : arrived;
  }

  #itemOf(schema: Readonly<Record<string, unknown>>, indent: string): string {
    const fixed = schema["prefixItems"];
    if (Array.isArray(fixed)) return union(fixed.map((item) => this.#type(item, indent)));
    return this.#type(schema["items"] ?? schema["additionalProperties"], indent);
  }

  #plain(schema: Readonly<Record<string, unknown>>, indent: string): string {
    if (typeof schema["$ref"] === "string") return this.#named(schema["$ref"]);
    if ("const" in schema) return literal(schema["const"]);
    if (Array.isArray(schema["enum"])) return union(schema["enum"].map(literal));
    for (const keyword of ["anyOf", "oneOf"]) {
      const choices = schema[keyword];
      if (Array.isArray(choices)) return union(choices.map((choice) => this.#type(choice, indent)));
    }
    if (Array.isArray(schema["allOf"])) {
      const parts = schema["allOf"].map((part) => enclosed(this.#type(part, indent)));
      return parts.join(" & ") || "unknown";
    }
    const type = schema["type"];
    if (Array.isArray(type)) return union(type.map((one) => this.#plain({ ...schema, type: one as unknown }, indent)));
    return this.#ofType(type, schema, indent);
  }

  #ofType(type: unknown, schema: Readonly<Record<string, unknown>>, indent: string): string {
    switch (type) {
      case "string":
        return "string";
      case "integer":
        return this.#direction === "sent" ? "number | bigint" : "number";
      case "number":
        return "number";
      case "boolean":
        return "boolean";
      case "null":
        return "null";
      case "array":
        return this.#array(schema, indent);
      case "object":
        return this.#object(schema, indent);
      default:
        return "properties" in schema ? this.#object(schema, indent) : "unknown";
    }
  }

  #array(schema: Readonly<Record<string, unknown>>, indent: string): string {
    const fixed = schema["prefixItems"];
    if (!Array.isArray(fixed)) return `${enclosed(this.#type(schema["items"], indent))}[]`;
    const items = fixed.map((item) => this.#type(item, indent));
    const isClosed = schema["items"] === false || schema["maxItems"] === fixed.length || !("items" in schema);
    return `[${[...items, ...(isClosed ? [] : [`...${enclosed(this.#type(schema["items"], indent))}[]`])].join(", ")}]`;
  }

  #object(schema: Readonly<Record<string, unknown>>, indent: string): string {
    const properties = isObject(schema["properties"]) ? Object.entries(schema["properties"]) : [];
    const further = schema["additionalProperties"];
    if (properties.length === 0) {
      if (further === false) return "Record<string, never>";
      return `Record<string, ${further === undefined ? "unknown" : this.#type(further, indent)}>`;
    }
    const required = new Set(Array.isArray(schema["required"]) ? schema["required"] : []);
    const inner = `${indent}  `;
    const lines = properties.map(([name, property]) => {
      // what is not required has a default: it may be left out when it is sent, and is there when it is received
      const isOptional = !required.has(name) && this.#direction === "sent";
      const key = /^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name);
      const about = isObject(property) ? comment(property["description"], inner) : "";
      return `${about}${inner}${key}${isOptional ? "?" : ""}: ${this.#type(property, inner)};\n`;
    });
    if (further !== undefined && further !== false) lines.push(`${inner}[further: string]: unknown;\n`);
    return `{\n${lines.join("")}${indent}}`;
  }

  #named(reference: string): string {
    if (reference === "#") return this.#rootName;
    const key = /^#\/\$defs\/(.+)$/.exec(reference)?.[1];
    const definition = key?.replaceAll("~1", "/").replaceAll("~0", "~");
    if (definition === undefined || !Object.hasOwn(this.#definitions, definition)) return "unknown";
    const known = this.#names.get(definition);
    if (known !== undefined) return known;
    const name = this.#free(definition);
    this.#names.set(definition, name);
    this.#declare(name, this.#definitions[definition] as Schema);
    return name;
  }
}

function kindOf(schema: Readonly<Record<string, unknown>>): string | undefined {
  const told = schema["x-openenv"];
  if (typeof told === "string") return told;
  return isObject(told) && typeof told["kind"] === "string" ? told["kind"] : undefined;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function literal(value: unknown): string {
  const isLiteral = value === null || ["string", "number", "boolean"].includes(typeof value);
  return isLiteral ? JSON.stringify(value) : "unknown";
}

function union(types: readonly string[]): string {
  const parts = [...new Set(types)];
  if (parts.includes("unknown")) return "unknown";
  const some = parts.filter((part) => part !== "never");
  return some.length === 0 ? "never" : some.map((part) => (part.includes(" & ") ? `(${part})` : part)).join(" | ");
}

/** In parentheses, if something follows or precedes that binds stronger than what is in it. */
function enclosed(type: string): string {
  return /[|&]/.test(type) && !type.startsWith("{") ? `(${type})` : type;
}

function comment(text: unknown, indent: string): string {
  if (typeof text !== "string" || text.trim() === "") return "";
  const lines = text
    .trim()
    .replaceAll("*/", "*\\/")
    .split(/\r\n|[\r\n\u2028\u2029]/);
  if (lines.length === 1) return `${indent}/** ${lines[0]} */\n`;
  return `${indent}/**\n${lines.map((line) => `${indent} * ${line}`.trimEnd() + "\n").join("")}${indent} */\n`;
}

/** A name that TypeScript takes, as like the given one as possible. */
function identifier(text: string): string {
  const name = text.replace(/[^\p{ID_Continue}$]+/gu, "_").replace(/^_+|_+$/g, "");
  const begins = /^[\p{ID_Start}$_]/u.test(name) ? name : `Type${name}`;
  return TAKEN.has(begins) ? `${begins}Type` : begins;
}
