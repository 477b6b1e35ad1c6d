// Fixture: what `promtool check metrics` runs, the linter of Prometheus's own client, built once per machine from its pinned module.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { goBuild, hasProgram, made, type Ran } from "../ingest/exporters.fixture.ts";

// Not promtool itself: with its 1,100 packages it takes longer to build than all tests together.
const source = join(import.meta.dirname, "__fixtures__", "promtool");

/** False where there is no Go to build it with, which is then said. */
export function hasPromtool(): Promise<boolean> {
  return hasProgram("go", ["version"], "Prometheus's linter");
}

/** What it says of a scrape; empty and 0 where it finds nothing. */
export async function checkMetrics(text: string): Promise<Ran> {
  const program = join(await made("promtool", goBuild, source), "server");
  const child = spawn(program, { stdio: "pipe" });
  const ran: Ran = { code: null, output: "", errors: "" };
  child.stdout.on("data", (chunk) => {
    ran.output += chunk;
  });
  child.stderr.on("data", (chunk) => {
    ran.errors += chunk;
  });
  const ended = new Promise<number | null>((done, failed) => {
    child.once("error", failed);
    child.once("close", done);
  });
  child.stdin.end(text);
  ran.code = await ended;
  return ran;
}
