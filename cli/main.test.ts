// The command line's own file, run without the `tsdev` command in front.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import manifest from "./package.json" with { type: "json" };

const run = promisify(execFile);
const file = join(import.meta.dirname, "main.ts");

test("node cli/main.ts does what tsdev does, exit codes included", async () => {
  expect((await run(process.execPath, [file, "--version"])).stdout.trim()).toBe(manifest.version);
  await expect(run(process.execPath, [file, "no-such-command"])).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining("unknown command"),
  });
});
