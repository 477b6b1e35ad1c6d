// check: an app's workflows as its source says them beside what they are at run time, and what will bite later.
import { bold, colored, dim, print } from "../output.ts";
import { runOffline } from "./offline.ts";

/** What is printed of the answer; `--json` prints it whole. */
interface Checked {
  workflows: {
    name: string | null;
    version: string | null;
    file: string;
    line: number;
    nodes: { id: string; op: string }[];
    dynamic?: string;
  }[];
  problems: { level: keyof typeof colors; message: string; file: string; line: number; fix: string }[];
}

const colors = { error: "red", warning: "yellow", note: "cyan" } as const;

export async function check(dir: string, flags: { json: boolean }): Promise<void> {
  const checked = await runOffline<Checked>(["check", "--", dir]);
  print(checked, flags, ({ workflows, problems }) =>
    [
      ...workflows.map(
        ({ name, file, line, version, nodes, dynamic }) =>
          `${bold(name ?? "?")} ${dim(`${version ?? "unknown version"}, ${file}:${line}`)}${dynamic ? " dynamic" : ""}\n  ${
            nodes.map(({ id, op }) => `${id} ${dim(op)}`).join("\n  ") || "no nodes"
          }`,
      ),
      ...(workflows.length === 0 ? ["no workflows"] : []),
      ...problems.map(
        ({ level, message, file, line, fix }) =>
          `${colored(colors[level], level)} ${file}:${line} ${message}\n  ${dim(fix)}`,
      ),
    ].join("\n"),
  );
  if (checked.problems.some(({ level }) => level === "error")) process.exitCode = 1;
}
