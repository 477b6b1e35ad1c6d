// Benchmark: from an app's print to the line on the screen of `tsdev logs --follow`, against `tail -F` of the app's own log file.
import { type ChildProcess, spawn } from "node:child_process";
import { globSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { NoisyApp } from "../test/noisy-app.fixture.ts";
import { childEnvironment, eventually } from "../test/platform.fixture.ts";
import { type Measured, ratioOf } from "./measured.ts";

const lines = 100;
const quietMs = 30;

/** When each text was seen, in milliseconds of this process's clock. */
function watch(child: ChildProcess, textOf: (line: string) => string): Map<string, number> {
  const seen = new Map<string, number>();
  if (child.stdout)
    createInterface({ input: child.stdout }).on("line", (line) => seen.set(textOf(line), performance.now()));
  return seen;
}

export async function logFollow(): Promise<Measured[]> {
  const app = await NoisyApp.deploy();
  const children: ChildProcess[] = [];
  const start = (program: string, args: string[], env: Record<string, string>) => {
    const child = spawn(program, args, { env, stdio: ["ignore", "pipe", "ignore"] });
    children.push(child);
    return child;
  };
  try {
    const tsdev = join(import.meta.dirname, "../cli/tsdev.js");
    const follow = start(
      process.execPath,
      [tsdev, "logs", "--follow", "--project", app.project, "--json"],
      childEnvironment(app.environment),
    );
    const [file = ""] = globSync(join(app.data, "runtime/instances/*/output.log"));
    const tail = start("tail", ["-F", "-n", "0", file], childEnvironment());
    const ours = watch(follow, (line) => (JSON.parse(line) as { text: string }).text);
    const rival = watch(tail, (line) => line);
    await eventually("both follow", async () => {
      await app.print("warm up");
      return ours.has("warm up") && rival.has("warm up");
    });
    const taken = { ours: [] as number[], rival: [] as number[] };
    for (let index = 0; index < lines; index++) {
      const text = `measured ${index}`;
      const printed = performance.now();
      await app.print(text);
      await eventually("both have it", () => ours.has(text) && rival.has(text));
      taken.ours.push((ours.get(text) ?? 0) - printed);
      taken.rival.push((rival.get(text) ?? 0) - printed);
      await new Promise((resolve) => setTimeout(resolve, quietMs));
    }
    return [
      ratioOf({
        name: "log-follow",
        unit: "ms",
        rivalName: "tail -F of the app's log file",
        ours: taken.ours,
        rival: taken.rival,
      }),
    ];
  } finally {
    for (const child of children) child.kill("SIGINT");
    await app.end();
  }
}
