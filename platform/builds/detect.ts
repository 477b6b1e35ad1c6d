// Detection: what a checked-out folder is and how it is installed, built and started.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { TsdevError } from "../../sdk/errors.ts";

const PackageJson = z.looseObject({
  name: z.string().optional(),
  scripts: z.record(z.string(), z.string()).default({}),
  dependencies: z.record(z.string(), z.string()).default({}),
  devDependencies: z.record(z.string(), z.string()).default({}),
  optionalDependencies: z.record(z.string(), z.string()).default({}),
  peerDependencies: z.record(z.string(), z.string()).default({}),
  packageManager: z.string().optional(),
  workspaces: z.unknown().optional(),
  tsdev: z.unknown().optional(),
});
export type PackageJson = z.infer<typeof PackageJson>;

export type PackageManager = "npm" | "pnpm" | "yarn";

/** Lockfiles in order of preference. */
const lockfiles: { file: string; manager: PackageManager }[] = [
  { file: "npm-shrinkwrap.json", manager: "npm" },
  { file: "package-lock.json", manager: "npm" },
  { file: "pnpm-lock.yaml", manager: "pnpm" },
  { file: "yarn.lock", manager: "yarn" },
];

export interface Detected {
  packageJson: PackageJson;
  manager: PackageManager;
  /** Name and text of the lockfile, null where the project has none. */
  lockfile: { file: string; text: string } | null;
  /** True where the folder holds several packages that are installed together. */
  workspaces: boolean;
}

/** Reads the package.json and the lockfile; throws `not_deployable` where there is no usable package.json. */
export async function detect(folder: string): Promise<Detected> {
  const text = await readFile(join(folder, "package.json"), "utf8").catch(() => null);
  if (text === null) {
    throw new TsdevError("not_deployable", {
      message: "the commit has no package.json at its root",
      fix: "run `npx tsdev init` in the app's folder and push again",
    });
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new TsdevError("not_deployable", {
      message: `package.json is not JSON: ${cause instanceof Error ? cause.message : cause}`,
      fix: "correct it and push again",
      cause,
    });
  }
  const parsed = PackageJson.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new TsdevError("not_deployable", {
      message: `package.json: ${issue?.path.join(".")}: ${issue?.message}`,
      fix: "correct it and push again",
    });
  }
  const packageJson = parsed.data;
  const workspaces =
    packageJson.workspaces !== undefined ||
    (await readFile(join(folder, "pnpm-workspace.yaml"), "utf8").then(
      (yaml) => /^packages:/m.test(yaml),
      () => false,
    ));
  for (const { file, manager } of lockfiles) {
    const lock = await readFile(join(folder, file), "utf8").catch(() => null);
    if (lock !== null) return { packageJson, manager, lockfile: { file, text: lock }, workspaces };
  }
  return { packageJson, manager: "npm", lockfile: null, workspaces };
}

/** The command line that installs exactly what the lockfile says. */
export function installCommand(detected: Detected): string[] {
  const { manager, lockfile } = detected;
  if (manager === "npm") return lockfile ? ["npm", "ci"] : ["npm", "install", "--no-package-lock"];
  const frozen = manager === "yarn" && !isClassic(detected) ? "--immutable" : "--frozen-lockfile";
  return [...toolOf(detected), "install", frozen];
}

/** The command line that runs a script of the package.json. */
export function scriptCommand(detected: Detected, script: string): string {
  return [...toolOf(detected), "run", script].join(" ");
}

/** Only npm comes with Node; the others are run through it, in the version that package.json names. */
function toolOf(detected: Detected): string[] {
  const { manager, packageJson } = detected;
  if (manager === "npm") return ["npm"];
  // `packageManager` is `pnpm@10.1.0`, perhaps with a hash behind a plus sign
  const [name, version] = (packageJson.packageManager?.split("+")[0] ?? "").split("@");
  const suffix = name === manager && version ? `@${version}` : "";
  // from its second version on, yarn is published under another name
  const yarn = isClassic(detected) ? "yarn" : "@yarnpkg/cli-dist";
  const tool = manager === "yarn" ? yarn : manager;
  return ["npx", "--yes", `${tool}${suffix || (tool === "yarn" ? "@1" : "")}`];
}

function isClassic({ lockfile }: Detected): boolean {
  return lockfile?.text.includes("yarn lockfile v1") ?? false;
}
