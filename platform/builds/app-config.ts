// App configuration: `tsdev.config.ts`, or `"tsdev"` in package.json, evaluated in a process of its own and checked.
import { access } from "node:fs/promises";
import { join } from "node:path";
import { type AppConfig, parseConfig } from "../../sdk/config.ts";
import { TsdevError } from "../../sdk/errors.ts";
import type { BuildCommands } from "./build-commands.ts";
import type { PackageJson } from "./detect.ts";

const configFiles = ["tsdev.config.ts", "tsdev.config.js", "tsdev.config.mjs"];
const start = "<<<tsdev-config";
const end = "tsdev-config>>>";
const program = `
const module = await import(process.argv[1]);
process.stdout.write(${JSON.stringify(start)} + JSON.stringify(module.default ?? null) + ${JSON.stringify(end)});
`;

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
    const log = async (_stream: string, text: string) => void lines.push(text);
    try {
      await commands.node(["--input-type=module", "--eval", program, path], { folder, log, signal, what: file });
    } catch (cause) {
      throw new TsdevError("invalid_config", {
        message: `${file} cannot be evaluated: ${lines.find((line) => /error/i.test(line)) ?? lines.at(-1) ?? "it exited"}`,
        fix: "run `node tsdev.config.ts` in the app's folder to see the error",
        cause,
      });
    }
    const text = lines.join("\n");
    return parseConfig(JSON.parse(text.slice(text.indexOf(start) + start.length, text.lastIndexOf(end))));
  }
  return parseConfig(packageJson.tsdev ?? {});
}
