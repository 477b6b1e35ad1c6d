// Fixture: the program on a page of the docs (all its `ts` blocks together) is compiled strictly and run as it stands.
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

/** `page` is relative to docs/. Answers what the program printed; throws with the compiler's words, or what it threw. */
export async function runPage(page: string, env: Record<string, string> = {}): Promise<string> {
  // In the repository, so that dependencies are found, where neither git nor the type check looks.
  await mkdir(path("../tmp/"), { recursive: true });
  const folder = await mkdtemp(path("../tmp/page-"));
  try {
    const text = await readFile(path(`../docs/${page}`), "utf8");
    const program = [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map((match) => match[1]).join("\n");
    const file = join(folder, "program.ts");
    const entries = {
      "@tsdev/sdk": "index.ts",
      "@tsdev/sdk/http": "http/index.ts",
      "@tsdev/sdk/client": "client/index.ts",
      "@tsdev/sdk/dev": "dev/index.ts",
      "@tsdev/sdk/integration": "integration/index.ts",
      "@tsdev/sdk/introspection": "introspection/index.ts",
      "@tsdev/sdk/register": "register.ts",
    };
    let source = program;
    for (const [name, entry] of Object.entries(entries))
      source = source.replaceAll(`"${name}"`, `"../../sdk/${entry}"`);
    await writeFile(file, source);
    const flags = "--ignoreConfig --noEmit --strict --skipLibCheck --allowImportingTsExtensions --target es2024";
    const modules = "--module nodenext --moduleResolution nodenext --types node";
    const compiler = path("../node_modules/typescript/bin/tsc");
    await run(process.execPath, [compiler, ...`${flags} ${modules}`.split(" "), file]).catch((error) => {
      throw new Error(error.stdout || error.message);
    });
    const { DATABASE_URL: _, ...inherited } = process.env;
    const { stdout } = await run(process.execPath, [file], { env: { ...inherited, ...env } });
    return stdout;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
