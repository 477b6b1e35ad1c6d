// graph: what an app declares, or the graph of one of its workflows.
import { existsSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { discover } from "../../sdk/discovery/discover.ts";
import { TsdevError } from "../../sdk/errors.ts";
import { describe } from "../../sdk/introspection/describe.ts";
import { toMermaid } from "../../sdk/introspection/mermaid.ts";
import { bold, dim, table } from "../output.ts";

export async function graph(
  name: string | undefined,
  flags: { dir: string; mermaid: boolean; json: boolean },
): Promise<void> {
  // Other commands take a folder here: without a word the modules of another one would be imported.
  if (name !== undefined && /[\\/]|^\.\.?$/.test(name) && statSync(name, { throwIfNoEntry: false })?.isDirectory()) {
    throw new TsdevError("invalid_input", {
      message: `${name} is a folder, and a workflow is named here`,
      fix: `tsdev graph --dir ${name}`,
      path: "workflow",
    });
  }
  const folder = resolve(flags.dir);
  // Discovery imports the app's modules: they see the folder that they are started in otherwise.
  if (existsSync(folder)) process.chdir(folder);
  const registry = await discover(existsSync(join(folder, "src")) ? join(folder, "src") : folder);
  const workflow = name === undefined ? undefined : registry.workflows.get(name);
  if (name !== undefined && !workflow) {
    // The app's modules may hold connections open; the error is told first.
    setImmediate(() => process.exit());
    throw new TsdevError("not_found", {
      message: `no workflow "${name}" in ${folder}`,
      fix: `known: ${[...registry.workflows.keys()].join(", ") || "none"}`,
      path: "workflow",
    });
  }
  const described = describe(registry);
  const one = workflow && described.workflows.find((each) => each.name === workflow.name);
  const drawn = [...(workflow ? [workflow] : registry.workflows.values())].map(toMermaid).join("\n");
  const text = flags.json
    ? JSON.stringify(one ?? described)
    : flags.mermaid || workflow
      ? drawn.trimEnd()
      : [
          bold("workflows"),
          table(
            ["name", "nodes", "triggers", "where"],
            described.workflows.map((each) => [
              each.name,
              String(Object.keys(each.nodes).length),
              each.triggers.join(", "),
              each.source ?? "",
            ]),
          ),
          bold("\nprocedures"),
          table(
            ["name", "reads", "writes", "where"],
            described.procedures.map((each) => [
              each.name,
              each.effects?.reads.join(", ") ?? dim("unknown"),
              each.effects?.writes.join(", ") ?? dim("unknown"),
              each.source ?? "",
            ]),
          ),
        ].join("\n");
  // The app's modules may hold connections open.
  process.stdout.write(`${text}\n`, () => process.exit(0));
}
