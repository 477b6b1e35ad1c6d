// Workflows at run time: imports modules of an app and sends what they export to the parent; a process of its own, since
// modules do as they like. Arguments: the files.
import { pathToFileURL } from "node:url";
import type { AnyWorkflow } from "../../sdk/index.ts";
import { nodesOf } from "../../sdk/ir/ir.ts";
import { isDeclaration } from "../../sdk/registry.ts";

export interface RuntimeModule {
  readonly file: string;
  /** Why it could not be imported. */
  readonly failed?: string;
  readonly workflows: readonly {
    readonly constant: string;
    readonly name: string;
    readonly version: string;
    readonly ir: AnyWorkflow["ir"];
    /** Ids of the steps whose procedure says `idempotent: false` and that are retried, by the step or the procedure. */
    readonly unsafeRetries: readonly string[];
  }[];
}

async function read(file: string): Promise<RuntimeModule> {
  try {
    const exports = Object.entries((await import(pathToFileURL(file).href)) as object);
    const found = exports.flatMap(([constant, value]) =>
      isDeclaration(value) && value.kind === "workflow" ? [{ constant, value }] : [],
    );
    return { file, workflows: found.map(({ constant, value }) => describe(constant, value)) };
  } catch (error) {
    return { file, failed: error instanceof Error ? error.message : String(error), workflows: [] };
  }
}

function describe(constant: string, workflow: AnyWorkflow): RuntimeModule["workflows"][number] {
  const retried = new Set<string>();
  for (const node of nodesOf(workflow.ir)) {
    if (node.op === "step" && node.retry) retried.add(node.id);
    if (node.op === "parallel" && node.retry) for (const { id } of node.branches) retried.add(id);
  }
  const unsafeRetries = [...workflow.code].flatMap(([id, { procedure }]) =>
    procedure?.idempotent === false && (retried.has(id) || procedure.policies?.retry) ? [id] : [],
  );
  return { constant, name: workflow.name, version: workflow.version, ir: workflow.ir, unsafeRetries };
}

const modules: RuntimeModule[] = [];
// One after the other: a module is imported in the order that the app's own would be.
for (const file of process.argv.slice(2)) modules.push(await read(file));
process.send?.(modules, () => process.exit(0));
