// `tsdev logs --follow`: what an app prints is shown while the command runs, each line once and in order.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, test } from "vitest";
import { NoisyApp } from "./noisy-app.fixture.ts";
import { childEnvironment, eventually } from "./platform.fixture.ts";

let app: NoisyApp;

beforeAll(async () => {
  app = await NoisyApp.deploy();
});
afterAll(() => app.end());

test("every line is shown once, in order, as it is printed", async () => {
  const tsdev = join(import.meta.dirname, "../cli/tsdev.js");
  const args = [tsdev, "logs", "--follow", "--project", app.project, "--json"];
  const child = spawn(process.execPath, args, {
    env: childEnvironment(app.environment),
    stdio: ["ignore", "pipe", "inherit"],
  });
  const shown: string[] = [];
  createInterface({ input: child.stdout }).on("line", (line) =>
    shown.push((JSON.parse(line) as { text: string }).text),
  );
  try {
    await eventually("the follower is there", async () => {
      await app.print("are you there?");
      return shown.includes("are you there?");
    });
    const lines = Array.from({ length: 20 }, (_, index) => `line ${index} ü ✓`);
    for (const line of lines) await app.print(line);
    await eventually("the last line is shown", () => shown.includes(lines.at(-1) ?? ""));
    expect(shown.filter((line) => line.startsWith("line "))).toEqual(lines);
  } finally {
    child.kill("SIGINT");
  }
});
