// The generated client is what the operations say.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { clientFiles } from "../scripts/generate-client.ts";

const root = join(import.meta.dirname, "..");

it("the generated client is current (else: npm run generate)", async () => {
  for (const [path, wanted] of Object.entries(await clientFiles())) {
    expect(await readFile(join(root, path), "utf8"), path).toBe(wanted);
  }
});
