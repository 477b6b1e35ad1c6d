// Project name: which project a folder belongs to.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { TsdevError } from "../sdk/errors.ts";
import { readLink } from "./client.ts";

/** The project given, else the linked one, else the package's name. Throws `invalid_input` where there is none. */
export async function projectName(given: string | undefined, folder: string): Promise<string> {
  const linked = given ?? (await readLink(folder))?.project;
  if (linked) return linked;
  const text = await readFile(join(folder, "package.json"), "utf8").catch(() => null);
  const name = text ? nameIn(text) : null;
  if (name) return name;
  throw new TsdevError("invalid_input", {
    message: `it is not clear which project ${folder} belongs to`,
    fix: "give --project NAME, or run this in the app's folder",
    path: "project",
  });
}

function nameIn(packageJson: string): string | null {
  try {
    const { name } = JSON.parse(packageJson) as { name?: string };
    const usable = name
      ?.replace(/^@[^/]+\//, "")
      .toLowerCase()
      .replace(/[^a-z0-9-]+/g, "-")
      .replace(/^-+|-+$/g, "");
    return usable || null;
  } catch {
    return null;
  }
}
