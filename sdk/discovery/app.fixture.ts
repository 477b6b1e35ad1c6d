// Fixture: small apps as folders of real files, and how they are run: by Node from source, or built.
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { stripTypeScriptTypes } from "node:module";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const repository = fileURLToPath(new URL("../../", import.meta.url));

export interface AppFixture extends AsyncDisposable {
  readonly folder: string;
  /** Writes more files. `SDK` in a text stands for the way from that file to the SDK's folder. */
  write(files: Record<string, string>): Promise<void>;
  /** What a compiler makes of the folder `from`: the same modules as JavaScript. */
  build(files: Record<string, string>, to: string): Promise<void>;
  /** Runs a file with Node. */
  run(file: string, flags?: readonly string[]): Promise<{ stdout: string; stderr: string; code: number }>;
}

/** In the repository, so that the SDK is found, where neither git nor the type check looks. */
export async function appFixture(files: Record<string, string>): Promise<AppFixture> {
  await mkdir(join(repository, "tmp"), { recursive: true });
  const folder = await mkdtemp(join(repository, "tmp", "app-"));
  async function write(files: Record<string, string>) {
    for (const [path, text] of Object.entries(files)) {
      const file = join(folder, path);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, text.replaceAll("SDK", relative(dirname(file), join(repository, "sdk"))));
    }
  }
  await write(files);
  return {
    folder,
    write,
    build: (files, to) =>
      write(
        Object.fromEntries(
          Object.entries(files).map(([path, text]) => [
            join(to, path.replace(/\.ts$/, ".js")),
            stripTypeScriptTypes(text, { mode: "strip" }).replace(/(from "\.[^"]*)\.ts"/g, (all, path) =>
              all.includes("SDK") ? all : `${path}.js"`,
            ),
          ]),
        ),
      ),
    run: (file, flags = []) =>
      new Promise((resolve) => {
        execFile(process.execPath, [...flags, join(folder, file)], { cwd: folder }, (error, stdout, stderr) =>
          resolve({ stdout, stderr, code: error ? Number(error.code) : 0 }),
        );
      }),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

/** The text of a module that exports procedures. */
export function procedures(...names: string[]): string {
  const head = `import { procedure } from "SDK/procedures/procedure.ts";\nimport { z } from "zod";\n`;
  const one = (name: string) =>
    `export const ${name} = procedure({ name: "${name}", input: z.object({ id: z.string() }), output: z.object({ ${name}: z.string() }), handler: async ({ id }) => ({ ${name}: id }) });\n`;
  return head + names.map(one).join("");
}
