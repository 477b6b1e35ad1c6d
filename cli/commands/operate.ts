// Commands that call one operation and show what it answers: deployments, rollback, scale, env, open.
import { TsdevError } from "../../sdk/errors.ts";
import { Client, findPlatform } from "../client.ts";
import { colored, dim, print, table } from "../output.ts";
import { projectName } from "../project-name.ts";

export interface PlatformFlags {
  json: boolean;
  data?: string;
}

export interface EnvironmentFlags extends PlatformFlags {
  project?: string;
  env: string;
}

/** A client and the environment that the flags name. */
export async function place(
  flags: EnvironmentFlags,
  folder = ".",
): Promise<{ client: Client; where: { project: string; environment: string } }> {
  const client = new Client(await findPlatform(flags.data));
  return { client, where: { project: await projectName(flags.project, folder), environment: flags.env } };
}

const statusColor: Record<string, "green" | "red" | "yellow" | "cyan"> = {
  live: "green",
  failed: "red",
  canceled: "yellow",
};

export function statusText(status: string): string {
  return colored(statusColor[status] ?? "cyan", status);
}

export async function deployments(flags: EnvironmentFlags): Promise<void> {
  const { client, where } = await place(flags);
  const output = await client.call("deployments.list", where);
  print(output, flags, ({ deployments: list }) =>
    table(
      ["deployment", "status", "commit", "cause", "seconds", "message"],
      list.map((one) => [
        one.id,
        statusText(one.status),
        one.commit.slice(0, 7),
        one.cause,
        one.pushToHealthySeconds?.toFixed(1) ?? "",
        one.reason?.message.split("\n")[0] ?? one.commitMessage,
      ]),
    ),
  );
}

export async function rollback(deployment: string | undefined, flags: EnvironmentFlags): Promise<void> {
  const { client, where } = await place(flags);
  const output = await client.call("deployments.rollback", { ...where, deployment });
  print(
    output,
    flags,
    (one) => `${one.commit.slice(0, 7)} is live again at ${one.url} after ${one.pushToHealthySeconds?.toFixed(1)} s`,
  );
}

export async function scale(flags: EnvironmentFlags & { replicas: number }): Promise<void> {
  const { client, where } = await place(flags);
  const output = await client.call("deployments.scale", { ...where, replicas: flags.replicas });
  const running = output.instances.filter(({ state }) => state !== "draining" && state !== "exited").length;
  print(output, flags, (one) => `${one.service}: ${running} ${running === 1 ? "instance" : "instances"}`);
}

export async function variables(assignments: string[], flags: EnvironmentFlags & { plain: boolean }): Promise<void> {
  const { client, where } = await place(flags);
  if (assignments.length > 0) {
    const pairs = assignments.map((text): [string, string] => {
      const at = text.indexOf("=");
      if (at > 0) return [text.slice(0, at), text.slice(at + 1)];
      throw new TsdevError("invalid_input", {
        message: `"${text}" is not NAME=VALUE`,
        fix: "write, for example, API_URL=https://example.com",
      });
    });
    const output = await client.call("variables.set", {
      ...where,
      variables: Object.fromEntries(pairs),
      secret: !flags.plain,
    });
    print(output, flags, ({ names }) => `set ${names.join(", ")}; they reach the next deployment`);
    return;
  }
  const output = await client.call("variables.list", where);
  print(output, flags, ({ variables: list }) =>
    table(
      ["name", ""],
      list.map(({ name, secret }) => [name, secret ? dim("secret") : ""]),
    ),
  );
}

export async function openDashboard(flags: PlatformFlags): Promise<void> {
  const client = new Client(await findPlatform(flags.data));
  print(await client.call("identity.login", {}), flags, ({ url }) => url);
}
