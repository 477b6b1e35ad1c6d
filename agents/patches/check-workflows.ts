// Check workflows: compares what an app's source says of its workflows with what they are at run time, and looks for what
// will bite later.
import { fork } from "node:child_process";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { canonicalJson } from "../../sdk/digest.ts";
import { sourceFiles } from "../../sdk/discovery/source-files.ts";
import { TsdevError } from "../../sdk/errors.ts";
import { nodesOf, versionOf, type WorkflowIr } from "../../sdk/ir/ir.ts";
import { irFromSource, type SourceWorkflow } from "./ir-from-source.ts";
import type { RuntimeModule } from "./workflows-at-run-time.ts";

export interface CheckedWorkflow {
  /** Null where neither the source nor the run time tells. */
  name: string | null;
  /** From the folder. */
  file: string;
  line: number;
  version: string | null;
  nodes: { id: string; op: string; line: number }[];
  /** Why its source cannot be read. */
  dynamic?: string;
}

export interface Problem {
  level: "error" | "warning" | "note";
  code: string;
  message: string;
  file: string;
  line: number;
  fix: string;
}

/** TypeScript stops near 92 links of one chain. */
const mostNodes = 60;
const importLimitMs = 60_000;

/** Throws `not_found` when there is no such folder, `timeout` when its modules do not end importing. */
export async function checkWorkflows(dir: string): Promise<{ workflows: CheckedWorkflow[]; problems: Problem[] }> {
  const folder = resolve(dir);
  const files = await sourceFiles(folder, "ts");
  const found = irFromSource(files);
  const modules = await importAll(
    folder,
    [...new Set(found.map(({ file }) => file))].map((path) => join(folder, path)),
  );
  const problems: Problem[] = modules.flatMap(({ file, failed }) => {
    const path = files.find((one) => one.file === file)?.path ?? file;
    if (failed === undefined) return [];
    const fix = "make it importable without its services, or set the variables that it asks for (`.env` is read)";
    return [
      { level: "error", code: "import_failed", message: `cannot be imported: ${failed}`, file: path, line: 1, fix },
    ];
  });
  const workflows = found.map((source) => {
    const module = modules.find(({ file }) => file === join(folder, source.file));
    const runtime = module?.workflows.find(({ constant }) => constant === source.constant);
    problems.push(...problemsOf(source, runtime));
    return describe(source, runtime);
  });
  problems.push(...duplicates(workflows));
  return { workflows, problems: problems.sort((a, b) => a.file.localeCompare(b.file) || a.line - b.line) };
}

type Runtime = RuntimeModule["workflows"][number];

function describe(source: SourceWorkflow, runtime: Runtime | undefined): CheckedWorkflow {
  const ir = runtime?.ir ?? source.ir;
  return {
    name: ir?.name ?? source.name,
    file: source.file,
    line: source.line,
    version: ir ? (runtime?.version ?? versionOf(ir)) : null,
    nodes: ir ? nodesOf(ir).map(({ id, op }) => ({ id, op, line: source.lines.get(id) ?? source.line })) : [],
    ...(source.dynamic ? { dynamic: source.dynamic.reason } : {}),
  };
}

function problemsOf(source: SourceWorkflow, runtime: Runtime | undefined): Problem[] {
  const ir = runtime?.ir ?? source.ir;
  const name = ir?.name ?? source.name ?? "?";
  const problems: Problem[] = [];
  const add = (level: Problem["level"], code: string, message: string, fix: string, line = source.line) =>
    problems.push({ level, code, message: `workflow "${name}": ${message}`, file: source.file, line, fix });
  if (source.dynamic) {
    const { reason, file, line } = source.dynamic;
    const fix = "it runs, but no codemod will change it; write it out as one chain in a top-level `export const`";
    add("warning", "dynamic", reason, fix, file === source.file ? line : source.line);
  } else if (runtime && canonicalJson(source.ir) !== canonicalJson(runtime.ir)) {
    add(
      "error",
      "ir_differs",
      differs(source.ir as WorkflowIr, runtime.ir),
      "write in the chain what it is at run time",
    );
  }
  if (ir === undefined) return problems;
  const nodes = nodesOf(ir);
  if (nodes.length > mostNodes) {
    const fix = "split it with .call: the compiler stops near 92 links";
    add("warning", "too_many_nodes", `${nodes.length} nodes, more than ${mostNodes}`, fix);
  }
  for (const id of runtime?.unsafeRetries ?? []) {
    const fix = "take the retry away, or make the procedure idempotent with `ctx.idempotencyKey` and say so";
    const message = `"${id}" is retried, but its procedure says \`idempotent: false\``;
    add("error", "retry_not_idempotent", message, fix, source.lines.get(id));
  }
  for (const node of nodes) {
    if ((node.op !== "waitFor" && node.op !== "approve") || node.timeoutMs !== undefined) continue;
    add("note", "no_timeout", `"${node.id}" waits without end`, "give it timeoutMs", source.lines.get(node.id));
  }
  return problems;
}

/** The first node that is not the same. */
function differs(source: WorkflowIr, runtime: WorkflowIr): string {
  const other = nodesOf(runtime);
  const node = nodesOf(source).find((one, index) => canonicalJson(one) !== canonicalJson(other[index]));
  const at = node === undefined ? "its options or the number of its nodes" : `"${node.id}"`;
  return `${at} is at run time not what the source says`;
}

function duplicates(workflows: readonly CheckedWorkflow[]): Problem[] {
  return workflows.flatMap((one, index) => {
    const first = workflows.findIndex(({ name }) => name !== null && name === one.name);
    const there = workflows[first];
    if (first === -1 || first === index || there === undefined) return [];
    const places = `${there.file}:${there.line} and ${one.file}:${one.line}`;
    const message = `two workflows have the name "${one.name}": ${places}`;
    const { file, line } = one;
    return [{ level: "error", code: "duplicate_name", message, file, line, fix: "rename one of them" }];
  });
}

/** In a process of its own, with the variables of the app's `.env`. */
async function importAll(folder: string, files: readonly string[]): Promise<readonly RuntimeModule[]> {
  if (files.length === 0) return [];
  const script = fileURLToPath(new URL("./workflows-at-run-time.ts", import.meta.url));
  const child = fork(script, files, {
    cwd: folder,
    execArgv: [`--env-file-if-exists=${join(folder, ".env")}`],
    stdio: ["ignore", "ignore", "ignore", "ipc"],
  });
  return new Promise((resolve, reject) => {
    const slow = setTimeout(() => child.kill("SIGKILL"), importLimitMs);
    child.once("message", (modules) => resolve(modules as RuntimeModule[]));
    child.once("error", reject);
    child.once("exit", (code, signal) => {
      clearTimeout(slow);
      const message = `importing the workflows ended with ${signal ?? code} before it was done`;
      const fix = `import ${files.length === 1 ? files[0] : "each of the files that declare workflows"} by itself to see why`;
      reject(new TsdevError(signal === "SIGKILL" ? "timeout" : "import_failed", { message, fix }));
    });
  });
}
