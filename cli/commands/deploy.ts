// deploy: push a folder, or take what is on GitHub, then follow the deployment until it is live or has failed.
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import type { Output } from "../../client/client.ts";
import { TsdevError } from "../../sdk/errors.ts";
import { Client, findPlatform, readLink, writeLink } from "../client.ts";
import { pushFolder } from "../git-push.ts";
import { bold, dim, print, say } from "../output.ts";
import { projectName } from "../project-name.ts";
import type { EnvironmentFlags } from "./operate.ts";

type Project = Output<"projects.get">;

interface DeployFlags extends EnvironmentFlags {
  overwrite: boolean;
  repository?: string;
}

export async function deploy(dir: string, flags: DeployFlags): Promise<void> {
  const started = performance.now();
  const folder = resolve(dir);
  if (!(await stat(folder).catch(() => null))?.isDirectory()) {
    throw new TsdevError("invalid_input", {
      message: `${folder} is not a folder`,
      fix: "give the app's folder, or run this in it",
      path: "dir",
    });
  }
  const client = new Client(await findPlatform(flags.data));
  const name = await projectName(flags.project, folder);
  const { project } = await client.call("projects.create", {
    name,
    ...(flags.repository === undefined ? {} : { repository: flags.repository }),
  });
  const environment = project.environments.find((one) => one.name === flags.env);
  if (!environment) {
    throw new TsdevError("not_found", {
      message: `project "${name}" has no environment "${flags.env}"`,
      fix: `use one of: ${project.environments.map((one) => one.name).join(", ")}`,
      path: "env",
    });
  }
  const where = { project: name, environment: flags.env };
  const { branch } = environment;
  const id =
    project.gitHost === "local"
      ? await pushAndAsk(client, folder, project, branch, flags)
      : await askForHead(client, folder, project, branch, where);
  const settled = await client.call(
    "deployments.wait",
    { deployment: id },
    {
      // the reason of a failure is told once, at the end
      progress: (line) => void (line.startsWith("failed: ") || say(dim(line))),
    },
  );
  if (settled.status !== "live" && settled.status !== "superseded") {
    throw new TsdevError(
      settled.reason?.code ?? "internal",
      settled.reason ?? { message: `the deployment is ${settled.status}`, fix: "push again" },
    );
  }
  const seconds = (performance.now() - started) / 1000;
  print(
    { deployment: settled.id, release: settled.release, url: settled.url, seconds, commit: settled.commit },
    flags,
    () => `${bold(settled.url)}  ${settled.commit.slice(0, 7)} is live after ${seconds.toFixed(1)} s`,
  );
}

/** Pushes the folder to the platform; answers the deployment that came of it. */
async function pushAndAsk(
  client: Client,
  folder: string,
  project: Project,
  branch: string,
  flags: DeployFlags,
): Promise<string> {
  const where = { project: project.name, environment: flags.env };
  const link = await readLink(folder);
  const known = link?.project === project.name ? link.pushed : undefined;
  const pushed = await pushFolder(folder, project.git, branch, client.address, {
    lastPushed: known?.[branch],
    overwrite: flags.overwrite,
  });
  const next = { project: project.name, pushed: { ...known, [branch]: pushed.commit } };
  await writeLink(folder, next).catch(() => undefined);
  say(dim(`pushed ${pushed.commit.slice(0, 7)} to ${branch}`));

  const { deployments } = await client.call("deployments.list", where);
  const asked = deployments.find((one) => one.commit === pushed.commit && pushed.moved);
  if (asked) return asked.id;
  // the head, not what is live: after a rollback that is an older commit
  return (await client.call("deployments.deploy", { ...where, wait: false })).deployment.id;
}

/** Nothing is pushed to GitHub from here, where only the platform's own token is known: what is there is deployed. */
async function askForHead(
  client: Client,
  folder: string,
  project: Project,
  branch: string,
  where: { project: string; environment: string },
): Promise<string> {
  await writeLink(folder, { project: project.name }).catch(() => undefined);
  const asked = await client.call("deployments.deploy", { ...where, wait: false });
  say(dim(`${asked.deployment.commit.slice(0, 7)} is the head of ${branch} at ${project.git}; push there what is new`));
  return asked.deployment.id;
}
