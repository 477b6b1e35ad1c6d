// Contracts: the Zod schemas of a document, by the generator of openapi-ts.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { registerHooks } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TsdevError } from "../../sdk/errors.ts";

export interface Contracts {
  /** The text of the module. */
  readonly source: string;
  /** The name of an export by the same name in lower case. */
  readonly exports: ReadonlyMap<string, string>;
}

let hooked = false;

/** The generator prints by the compiler's API, which TypeScript 7 does not have; version 6 is installed under a name of its own. */
function hook(): void {
  if (hooked) return;
  hooked = true;
  registerHooks({
    resolve: (specifier, context, next) =>
      next(
        specifier === "typescript" && context.parentURL?.includes("/@hey-api/")
          ? import.meta.resolve("typescript-6")
          : specifier,
        context,
      ),
  });
}

/** The generator's own error has no message; the one within it may say at which operation or schema it stopped. */
function unreadable(error: unknown): TsdevError {
  const { error: inner } = (error as { originalError?: { error?: unknown } }).originalError ?? {};
  const cause = inner ?? error;
  const { args } = cause as { args?: { pointer?: string }[] };
  const place = args?.find((one) => typeof one?.pointer === "string")?.pointer;
  return new TsdevError("invalid_input", {
    message: `no contracts can be made of ${place ?? "the document"}: ${cause instanceof Error ? cause.message : String(cause)}`,
    fix: "check the document with an OpenAPI linter, or leave that part out",
    path: place ?? "openapi",
    cause,
  });
}

export async function contractsOf(document: object): Promise<Contracts> {
  hook();
  const { createClient } = await import("@hey-api/openapi-ts");
  const folder = await mkdtemp(join(tmpdir(), "tsdev-integrate-"));
  try {
    await createClient({
      input: document as never,
      output: { path: folder, postProcess: [] },
      plugins: [{ name: "zod", dates: { offset: true } }],
      // Else it leaves a report of its own in the working folder where it stops.
      logs: { level: "silent", file: false },
    }).catch((error: unknown) => {
      throw unreadable(error);
    });
    const text = await readFile(join(folder, "zod.gen.ts"), "utf8").catch(() => "");
    const source = text
      .replace(/^\/\/[^\n]*\n+/, "")
      .replace(/import \* as z from ['"]zod['"];/, 'import * as z from "zod";')
      .trim();
    const names = [...source.matchAll(/^export const (\w+)/gm)].map(
      ([, name = ""]) => [name.toLowerCase(), name] as const,
    );
    return { source, exports: new Map(names) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
