// Compose: validates a workflow that is given as data, and prints the code it stands for. It never evaluates code.
import { relative, sep } from "node:path";
import { freezeIr, type WorkflowIr } from "../../ir/ir.ts";
import type { Registry } from "../../registry.ts";
import { type JsonSchema, jsonSchemaOf, propertiesOf } from "../json-schema.ts";
import { toMermaid } from "../mermaid.ts";
import { Checker } from "./check.ts";
import { Definition, unfit } from "./definition.ts";
import { camelCase, type PlaceImport, printSource } from "./print-source.ts";
import type { ComposeProblem } from "./problems.ts";
import type { Scope } from "./scope.ts";

export type { ImportPlace, PlaceImport } from "./print-source.ts";
export type { ComposeProblem } from "./problems.ts";

export type Composed =
  | { ok: true; ir: WorkflowIr; mermaid: string; source: string }
  | { ok: false; problems: ComposeProblem[] };

export interface ComposeOptions {
  /**
   * How the source imports a declaration. Default: by its name in camel case, from its file as seen from the working
   * folder.
   */
  importOf?: PlaceImport;
}

/**
 * Checks a definition by the rules that the compiler and the builder hold a chain to: names are known, keys are there and
 * written once, types fit where JSON Schemas show them, ids are single, branches that run at the same time do not touch
 * what another writes, and what must not run twice is not retried. Whatever it is given, it answers and never throws.
 *
 * @example
 * composeWorkflow(
 *   {
 *     name: "welcome",
 *     input: { schema: { type: "object", properties: { email: { type: "string" } }, required: ["email"] } },
 *     nodes: [{ op: "step", procedure: "sendEmail", with: { to: "$.email" }, retry: { maxAttempts: 3 } }],
 *   },
 *   registry,
 * );
 */
export function composeWorkflow(definition: unknown, registry: Registry, options: ComposeOptions = {}): Composed {
  const wrong = unfit(definition);
  if (wrong) return refused([{ ...invalid, ...wrong }]);
  const parsed = Definition.safeParse(definition);
  if (!parsed.success) {
    return refused(
      parsed.error.issues.map((issue) => ({
        ...invalid,
        path: issue.path.map(String).join("."),
        message: issue.message,
      })),
    );
  }
  const checker = new Checker(registry);
  const scope = inputScope(parsed.data, checker);
  const { ir: nodes } = checker.sequence(parsed.data.nodes, scope, "nodes");
  if (checker.problems.all.length > 0) return refused(checker.problems.all);
  const ir = freezeIr<WorkflowIr>(JSON.parse(JSON.stringify({ ir: 1, name: parsed.data.name, nodes })));
  const place = options.importOf ?? placeIn(registry);
  return { ok: true, ir, mermaid: toMermaid({ ir }), source: printSource(parsed.data, checker.problems.unsure, place) };
}

const invalid = {
  code: "invalid_definition" as const,
  fix: "correct the place that path names; every key and node is described in docs/how-to/compose-a-workflow.md",
};

function refused(problems: ComposeProblem[]): Composed {
  return { ok: false, problems };
}

/** The scope at the start: the keys of the input. */
function inputScope({ input, name }: Definition, checker: Checker): Scope {
  const schema: JsonSchema | undefined =
    "schema" in input
      ? input.schema
      : contractOf(
          "procedure" in input
            ? checker.procedure(input.procedure, "input.procedure")
            : checker.workflow(input.workflow, "input.workflow"),
        );
  if (schema === undefined) return new Map();
  const keys = propertiesOf(schema);
  if (keys) return keys;
  checker.problems.add(
    "input",
    "type_mismatch",
    `the input of "${name}" is no object`,
    "let it be an object with a key for each value",
  );
  return new Map();
}

function contractOf(declaration: { input: Parameters<typeof jsonSchemaOf>[0] } | undefined): JsonSchema | undefined {
  return declaration && jsonSchemaOf(declaration.input, "output");
}

function placeIn(registry: Registry): PlaceImport {
  const maps = { procedure: registry.procedures, workflow: registry.workflows, event: registry.events };
  return (kind, name) => {
    const file = maps[kind].get(name)?.source?.file;
    const path = file === undefined ? `./${kind}s.ts` : relative(process.cwd(), file).split(sep).join("/");
    return { name: camelCase(name), from: path.startsWith(".") ? path : `./${path}` };
  };
}
