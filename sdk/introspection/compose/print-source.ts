// Print source: a checked definition as the TypeScript that an engineer would write.
import type { JsonSchema } from "../json-schema.ts";
import type { Comparison, ComposedNode, Definition, Mapping } from "./definition.ts";

/** Where a declaration is imported from. */
export interface ImportPlace {
  /** The name of the export. */
  readonly name: string;
  /** The module, as an import says it. */
  readonly from: string;
}
export type PlaceImport = (kind: "procedure" | "workflow" | "event", name: string) => ImportPlace;

const lineLimit = 120;

/** `unsure`: paths on which something may be missing. */
export function printSource(definition: Definition, unsure: ReadonlySet<string>, place: PlaceImport): string {
  const printer = new Printer(unsure, place);
  const chain = printer.body(definition);
  const own = camelCase(definition.name);
  return `${printer.imports()}\nexport const ${own} = workflow(${text(definition.name)})\n${chain};\n`;
}

class Printer {
  readonly #unsure: ReadonlySet<string>;
  readonly #place: PlaceImport;
  readonly #modules = new Map<string, Set<string>>();
  #zod = false;

  constructor(unsure: ReadonlySet<string>, place: PlaceImport) {
    this.#unsure = unsure;
    this.#place = place;
  }

  imports(): string {
    const lines = [
      'import { workflow } from "@tsdev/sdk";',
      ...(this.#zod ? ['import { z } from "zod";'] : []),
      ...[...this.#modules]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([from, names]) => importOf([...names].sort(), from)),
    ];
    return `${lines.join("\n")}\n`;
  }

  body({ input, nodes }: Definition): string {
    const contract = "schema" in input ? this.#schema(input.schema) : `${this.#ref(input)}.input`;
    return [`  .input(${contract})`, ...nodes.map((node) => this.#node(node, "  "))].join("\n");
  }

  #ref(input: { procedure: string } | { workflow: string }): string {
    return "procedure" in input ? this.#import("procedure", input.procedure) : this.#import("workflow", input.workflow);
  }

  #import(kind: "procedure" | "workflow" | "event", name: string): string {
    const { name: exported, from } = this.#place(kind, name);
    const names = this.#modules.get(from) ?? new Set();
    this.#modules.set(from, names.add(exported));
    return exported;
  }

  #node(node: ComposedNode, indent: string): string {
    const policies = policiesOf(node);
    switch (node.op) {
      case "step": {
        const options = [
          ...(node.as === undefined ? [] : [`as: ${text(node.as)}`]),
          ...(node.with ? [`with: ${this.#mapping(node.with)}`] : []),
        ];
        const undo = node.compensate;
        const undone = undo
          ? [
              `.compensate(${this.#import("procedure", undo.procedure)}${braces(undo.with ? [`with: ${this.#mapping(undo.with)}`] : [])})`,
            ]
          : [];
        return wrapped(indent, "step", this.#import("procedure", node.procedure), options, [...policies, ...undone]);
      }
      case "parallel":
        return wrapped(
          indent,
          "parallel",
          `[${node.procedures.map((name) => this.#import("procedure", name)).join(", ")}]`,
          [],
          policies,
        );
      case "sleep":
        return `${indent}.sleep(${text(node.id)}, { ${node.ms === undefined ? `until: (scope) => ${this.#path(node.until ?? "")}` : `ms: ${node.ms}`} })`;
      case "waitFor": {
        const options = [
          ...(node.key === undefined ? [] : [`key: (scope) => ${this.#path(node.key)}`]),
          ...(node.timeoutMs === undefined ? [] : [`timeoutMs: ${node.timeoutMs}`]),
          ...(node.onTimeout === undefined ? [] : [`onTimeout: ${text(node.onTimeout)}`]),
        ];
        return `${indent}.waitFor(${text(node.id)}, ${this.#import("event", node.event)}${braces(options)})`;
      }
      case "approve": {
        const { op: _, id, ...options } = node;
        return `${indent}.approve(${text(id)}${braces(fields(options))})`;
      }
      case "call": {
        const options = [
          ...(node.as === undefined ? [] : [`as: ${text(node.as)}`]),
          ...(node.with ? [`with: ${this.#mapping(node.with)}`] : []),
        ];
        return `${indent}.call(${this.#import("workflow", node.workflow)}${braces(options)})`;
      }
      case "when":
        return [
          `${indent}.when(`,
          `${indent}  ${text(node.id)},`,
          `${indent}  (scope) => ${this.#comparison(node.if)},`,
          `${indent}  ${this.#branch("then", node.then, indent)},`,
          ...(node.otherwise ? [`${indent}  ${this.#branch("otherwise", node.otherwise, indent)},`] : []),
          `${indent})`,
        ].join("\n");
      case "match":
        return [
          `${indent}.match(`,
          `${indent}  ${text(node.id)},`,
          `${indent}  (scope) => ${this.#path(node.value)},`,
          `${indent}  {`,
          ...Object.entries(node.cases).map(
            ([name, nodes]) => `${indent}    ${key(name)}: ${this.#branch("branch", nodes, `${indent}  `)},`,
          ),
          `${indent}  },`,
          ...(node.otherwise ? [`${indent}  ${this.#branch("otherwise", node.otherwise, indent)},`] : []),
          `${indent})`,
        ].join("\n");
      case "each": {
        const { concurrency, onError } = node;
        const options = fields({ concurrency, onError });
        return [
          `${indent}.each(`,
          `${indent}  ${text(node.id)},`,
          `${indent}  (scope) => ${this.#path(node.items)},`,
          `${indent}  ${this.#branch("item", node.nodes, indent)},`,
          ...(options.length > 0 ? [`${indent}  { ${options.join(", ")} },`] : []),
          `${indent})`,
        ].join("\n");
      }
      case "repeat": {
        const { maxTimes, everyMs } = node;
        const options = [`until: (scope) => ${this.#comparison(node.until)}`, ...fields({ maxTimes, everyMs })];
        return [
          `${indent}.repeat(`,
          `${indent}  ${text(node.id)},`,
          `${indent}  ${this.#branch("round", node.nodes, indent)},`,
          `${indent}  { ${options.join(", ")} },`,
          `${indent})`,
        ].join("\n");
      }
    }
  }

  #mapping(all: Mapping): string {
    const parts = Object.entries(all).map(
      ([name, from]) => `${name}: ${typeof from === "string" ? this.#path(from) : text(from.value, " as const")}`,
    );
    return parts.length === 0 ? "() => ({})" : `(scope) => ({ ${parts.join(", ")} })`;
  }

  #path(from: string): string {
    const [, first, ...rest] = from.split(/(?=[.[])/);
    const link = this.#unsure.has(from) ? "?." : "";
    return `scope${first}${rest.map((part) => (link && part.startsWith(".") ? `?${part}` : `${link}${part}`)).join("")}`;
  }

  #comparison({ path: from, op, value }: Comparison): string {
    const at = this.#path(from);
    const signs = { eq: "===", ne: "!==", gt: ">", gte: ">=", lt: "<", lte: "<=" } as const;
    if (op === "exists") return `${at} !== undefined`;
    if (op === "in") return (value as unknown[]).map((one) => `${at} === ${text(one)}`).join(" || ") || "false";
    return `${at} ${signs[op]} ${text(value)}`;
  }

  #branch(name: string, nodes: readonly ComposedNode[], indent: string): string {
    const lines = nodes.map((node) => this.#node(node, `${indent}    `));
    const short = `(${name}) => ${name}${lines.map((line) => line.trim()).join("")}`;
    if (!short.includes("\n") && indent.length + short.length + 4 <= lineLimit) return short;
    return `(${name}) =>\n${indent}    ${name}\n${lines.map((line) => `  ${line.replaceAll("\n", "\n  ")}`).join("\n")}`;
  }

  /** The subset of JSON Schema that a definition's input is written in, as Zod. */
  #schema(schema: JsonSchema, indent = "  "): string {
    this.#zod = true;
    const described = (zod: string) =>
      `${zod}${typeof schema.description === "string" ? `.describe(${text(schema.description)})` : ""}${schema.sensitive ? ".meta({ sensitive: true })" : ""}`;
    if (schema.enum) return described(`z.enum([${schema.enum.map((one) => text(one)).join(", ")}])`);
    switch (schema.type) {
      case "object": {
        const parts = Object.entries(schema.properties ?? {}).map(([name, inner]) => {
          const zod = this.#schema(inner, `${indent}  `);
          return `${name}: ${schema.required?.includes(name) ? zod : `${zod}.optional()`}`;
        });
        const short = `z.object({ ${parts.join(", ")} })`;
        if (parts.length === 0) return "z.object({})";
        if (indent.length + short.length + 10 <= lineLimit && !short.includes("\n")) return described(short);
        return described(`z.object({\n${parts.map((part) => `${indent}  ${part},\n`).join("")}${indent}})`);
      }
      case "array":
        return described(
          `z.array(${this.#schema((schema.items as JsonSchema | undefined) ?? {}, indent)})${limits(schema, "minItems", "maxItems")}`,
        );
      case "string": {
        const formats: Record<string, string> = {
          email: "z.email()",
          uuid: "z.uuid()",
          uri: "z.url()",
          date: "z.iso.date()",
          "date-time": "z.iso.datetime()",
        };
        const base = formats[String(schema.format)] ?? "z.string()";
        return described(`${base}${limits(schema, "minLength", "maxLength")}`);
      }
      case "integer":
        return described(`z.int()${limits(schema, "minimum", "maximum")}`);
      case "number":
        return described(`z.number()${limits(schema, "minimum", "maximum")}`);
      case "boolean":
        return described("z.boolean()");
      default:
        return described("z.unknown()");
    }
  }
}

function limits(schema: JsonSchema, least: string, most: string): string {
  const at = (name: string) => schema[name] as number | undefined;
  return `${at(least) === undefined ? "" : `.min(${at(least)})`}${at(most) === undefined ? "" : `.max(${at(most)})`}`;
}

function policiesOf(node: ComposedNode): string[] {
  if (node.op !== "step" && node.op !== "parallel") return [];
  const { retry, timeout, cache, rateLimit, circuitBreaker } = node;
  const all = {
    withRetry: retry,
    withTimeout: timeout,
    withCache: cache,
    withRateLimit: rateLimit,
    withCircuitBreaker: circuitBreaker,
  };
  return Object.entries(all).flatMap(([name, options]) =>
    options === undefined ? [] : [`.${name}({ ${fields(options).join(", ")} })`],
  );
}

function importOf(names: readonly string[], from: string): string {
  const short = `import { ${names.join(", ")} } from ${text(from)};`;
  return short.length <= lineLimit
    ? short
    : `import {\n${names.map((name) => `  ${name},\n`).join("")}} from ${text(from)};`;
}

/** A call and the modifiers after it, each on its own line where one does not hold them. */
function wrapped(indent: string, name: string, first: string, options: string[], modifiers: readonly string[]): string {
  const call = `${indent}.${name}(${first}${braces(options)})`;
  if (`${call}${modifiers.join("")}`.length <= lineLimit) return `${call}${modifiers.join("")}`;
  const long = `${indent}.${name}(${first}, {\n${options.map((one) => `${indent}  ${one},\n`).join("")}${indent}})`;
  return [call.length <= lineLimit ? call : long, ...modifiers.map((one) => `${indent}${one}`)].join("\n");
}

function fields(options: object): string[] {
  return Object.entries(options).flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${text(value)}`]));
}

function braces(options: string[]): string {
  return options.length === 0 ? "" : `, { ${options.join(", ")} }`;
}

/** A JSON value as it may stand in a program, whatever is in it; ` as const` keeps a string's type that of its value. */
function text(value: unknown, afterStrings = ""): string {
  if (Array.isArray(value)) return `[${value.map((one) => text(one, afterStrings)).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    const parts = Object.entries(value).map(([name, inner]) => `${key(name)}: ${text(inner, afterStrings)}`);
    return parts.length === 0 ? "{}" : `{ ${parts.join(", ")} }`;
  }
  const printed = JSON.stringify(value).replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029");
  return typeof value === "string" ? printed + afterStrings : printed;
}

function key(name: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : text(name);
}

export function camelCase(name: string): string {
  return name
    .split(/[^A-Za-z0-9]+/)
    .filter((word) => word !== "")
    .map((word, index) => (index === 0 ? word : `${word[0]?.toUpperCase()}${word.slice(1)}`))
    .join("");
}
