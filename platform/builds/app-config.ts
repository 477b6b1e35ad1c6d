// App configuration: `tsdev.config.ts`, or `"tsdev"` in package.json, evaluated in a process of its own and checked.
import { access } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { type AppConfig, parseConfig } from "../../sdk/config.ts";
import { TsdevError } from "../../sdk/errors.ts";
import type { BuildCommands } from "./build-commands.ts";
import type { PackageJson } from "./detect.ts";

const configFiles = ["tsdev.config.ts", "tsdev.config.js", "tsdev.config.mjs"];
const mostLines = 200;
const start = "<<<tsdev-config";
const end = "tsdev-config>>>";
/** A value that JSON cannot hold, or an error, comes back as what it says of itself. */
const program = `
const { pathToFileURL } = await import("node:url");
let answer;
try {
  const module = await import(pathToFileURL(process.argv[1]).href);
  answer = { value: module.default ?? null };
} catch (error) {
  const { code, message = String(error), fix, path, name } = Object(error);
  answer = { error: { code, message: String(message), fix, path, name } };
}
process.stdout.write("\\n" + ${JSON.stringify(start)} + JSON.stringify(answer) + ${JSON.stringify(end)} + "\\n", () => process.exit(0));
`;

const Answer = z.object({
  value: z.unknown().optional(),
  error: z
    .object({
      code: z.unknown().optional(),
      message: z.string(),
      fix: z.unknown().optional(),
      path: z.unknown().optional(),
      name: z.unknown().optional(),
    })
    .optional(),
});

/** The checked configuration of a folder whose dependencies are installed; throws `invalid_config` naming the file and key. */
export async function readAppConfig(
  folder: string,
  packageJson: PackageJson,
  commands: BuildCommands,
  signal: AbortSignal,
): Promise<AppConfig> {
  for (const file of configFiles) {
    const path = join(folder, file);
    if (
      !(await access(path).then(
        () => true,
        () => false,
      ))
    )
      continue;
    const lines: string[] = [];
    const log = async (_stream: string, text: string) => {
      lines.push(text);
      if (lines.length > mostLines) lines.shift();
    };
    const failed = (message: string, fix?: string, path?: string, cause?: unknown) =>
      new TsdevError("invalid_config", {
        message: `${file}: ${message}`,
        fix: fix ?? `run \`node ${file}\` in the app's folder to see the error`,
        ...(path === undefined ? {} : { path }),
        cause,
      });
    try {
      await commands.node(["--input-type=module", "--eval", program, path], { folder, log, signal, what: file });
    } catch (cause) {
      if (TsdevError.is(cause) && cause.code === "canceled") throw cause;
      throw failed(`cannot be evaluated: ${lines.at(-1) ?? "it exited"}`, undefined, undefined, cause);
    }
    const printed = lines.find((line) => line.startsWith(start) && line.endsWith(end));
    if (printed === undefined) throw failed("it exits by itself instead of exporting a configuration");
    const answer = Answer.parse(JSON.parse(printed.slice(start.length, -end.length)));
    if (answer.error) {
      const { code, message, fix, path: key, name } = answer.error;
      if (code === "invalid_config" && typeof fix === "string") throw failed(message, fix, textOf(key));
      throw failed(`${textOf(name) ?? "Error"}: ${message}`);
    }
    return checked(file, answer.value);
  }
  return checked('"tsdev" in package.json', packageJson.tsdev ?? {});
}

const textOf = (value: unknown) => (typeof value === "string" ? value : undefined);

/** Says which file the wrong key stands in. */
function checked(file: string, value: unknown): AppConfig {
  try {
    return parseConfig(value);
  } catch (error) {
    if (!TsdevError.is(error)) throw error;
    throw new TsdevError(error.code, { message: `${file}: ${error.message}`, fix: error.fix, path: error.path });
  }
}
