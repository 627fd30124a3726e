/** Tools: what is asked of them, and what the answers mean. */

import { ExecutionFailed, LocalProtocolError, RemoteProtocolError } from "./errors.ts";
import type { OutcomeIs } from "./messages.ts";
import type { RequestOptions } from "./session.ts";

/** One tool. */
export interface ToolInfo {
  readonly name: string;
  readonly description: string;
  /** JSON Schema of its arguments, an object. */
  readonly inputSchema: Readonly<Record<string, unknown>>;
  readonly title?: string;
  /** JSON Schema of its structured result, if it has one. */
  readonly outputSchema?: Readonly<Record<string, unknown>>;
  /** MCP's hints. */
  readonly annotations?: Readonly<Record<string, unknown>>;
}

/** What came of a call, as it travels. */
export interface ToolObservation {
  readonly tool_name: string;
  readonly result: {
    readonly content: readonly Readonly<Record<string, unknown>>[] | null;
    readonly structured_content: Readonly<Record<string, unknown>> | null;
    readonly data: unknown;
    readonly is_error: boolean;
    readonly meta: Readonly<Record<string, unknown>> | null;
  } | null;
  /** Why there is no result. */
  readonly error: { readonly error_type: string; readonly message: string } | null;
}

export interface CallOptions extends RequestOptions {
  /** Answers to what the tool asked, by the names in `details.requests` of the InputNeeded. */
  readonly inputs?: Readonly<Record<string, unknown>>;
  /** What the tool may ask, by MCP's names, such as `{ elicitation: {} }`. */
  readonly capabilities?: Readonly<Record<string, unknown>>;
}

/** What has come of an episode so far, whoever took its steps. */
export interface EpisodeOutcome {
  /** `fresh` (none was begun), `running`, `done` or `lost`. */
  readonly phase: string;
  readonly episodeId: string | null;
  /** Steps that were answered; a tool call is one, also if it failed. */
  readonly steps: number;
  /** Of the last step. */
  readonly reward: number | boolean | null;
  readonly totalReward: number;
  readonly done: boolean;
  readonly terminated: boolean;
  readonly truncated: boolean;
}

export function outcomeOf(told: OutcomeIs): EpisodeOutcome {
  return {
    phase: told.phase,
    episodeId: told.episode_id ?? null,
    steps: told.steps,
    reward: told.reward ?? null,
    totalReward: told.total_reward,
    done: told.done,
    terminated: told.terminated ?? told.done,
    truncated: told.truncated ?? false,
  };
}

/** The action of a call. */
export function callOf(name: string, args: Readonly<Record<string, unknown>>, { inputs, capabilities }: CallOptions) {
  if (typeof name !== "string" || name === "") throw new LocalProtocolError("a tool is called by its name, a text");
  return {
    type: "call_tool",
    tool_name: name,
    arguments: args,
    ...(inputs !== undefined && { inputs }),
    ...(capabilities !== undefined && { capabilities }),
  };
}

/** The tools that an answer lists. */
export function toolsOf(observation: unknown): readonly ToolInfo[] {
  const tools = isObject(observation) ? observation["tools"] : undefined;
  if (!Array.isArray(tools) || !tools.every(isObject)) {
    throw new RemoteProtocolError("the server did not say which tools there are; is it an environment of tools?");
  }
  return tools.map((tool): ToolInfo => {
    const { title, output_schema: outputSchema, annotations } = tool;
    return {
      name: String(tool["name"]),
      description: typeof tool["description"] === "string" ? tool["description"] : "",
      inputSchema: isObject(tool["input_schema"]) ? tool["input_schema"] : { type: "object" },
      ...(typeof title === "string" && { title }),
      ...(isObject(outputSchema) && { outputSchema }),
      ...(isObject(annotations) && { annotations }),
    };
  });
}

/** What a tool returned: its value, or else its text or its content blocks. */
export function valueOf(name: string, observation: ToolObservation): unknown {
  const { error, result } = observation;
  if (error) throw failed(name, error.message, error.error_type);
  if (!result) return null;
  const content = result.content ?? [];
  const texts = content.filter((block) => block["type"] === "text").map((block) => String(block["text"]));
  if (result.is_error) throw failed(name, texts.join("\n") || "it says no more", "execution_error");
  const value = result.data ?? result.structured_content;
  if (value !== null && value !== undefined) return value;
  if (content.length === 0) return null;
  return texts.length === content.length ? texts.join("\n") : content;
}

function failed(tool: string, why: string, errorType: string): ExecutionFailed {
  return new ExecutionFailed(`Tool '${tool}' failed: ${why}`, "EXECUTION_ERROR", { tool, error_type: errorType });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
