// Client of the platform that is meant, and how it is found out which that is.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { z } from "zod";
import { Client as ApiClient } from "../client/client.ts";
import { TsdevError } from "../sdk/errors.ts";

const Address = z.object({ url: z.string(), token: z.string() });
export type Address = z.infer<typeof Address>;

/** `.tsdev/link.json` of an app's folder: which platform and project it belongs to. */
const Link = z.object({
  url: z.string().optional(),
  project: z.string(),
  /** The commit that was pushed last, by branch. */
  pushed: z.record(z.string(), z.string()).optional(),
});
export type Link = z.infer<typeof Link>;

const linkPath = (folder: string) => join(folder, ".tsdev", "link.json");
/** Where `tsdev serve` notes its data directory, so that other folders find the platform on this machine. */
const notePath = () =>
  join(process.env.XDG_STATE_HOME ?? join(homedir(), ".local", "state"), "tsdev", "data-directory");

async function readJson<T>(path: string, schema: z.ZodType<T>): Promise<T | null> {
  const text = await readFile(path, "utf8").catch(() => null);
  if (text === null) return null;
  try {
    return schema.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}

export async function readLink(folder: string): Promise<Link | null> {
  return readJson(linkPath(folder), Link);
}

export async function writeLink(folder: string, link: Link): Promise<void> {
  await mkdir(dirname(linkPath(folder)), { recursive: true });
  // the link is this machine's: it neither makes the work tree dirty nor gets into a commit
  await writeFile(join(dirname(linkPath(folder)), ".gitignore"), "*\n");
  await writeFile(linkPath(folder), `${JSON.stringify(link, null, 2)}\n`);
}

/** Remembers the data directory for commands in other folders. */
export async function noteDataDirectory(directory: string): Promise<void> {
  await mkdir(dirname(notePath()), { recursive: true });
  await writeFile(notePath(), `${resolve(directory)}\n`);
}

/** The platform meant: TSDEV_URL and TSDEV_TOKEN, else a data directory, else the one on this machine. */
export async function findPlatform(data: string | undefined): Promise<Address> {
  const { TSDEV_URL, TSDEV_TOKEN } = process.env;
  if (TSDEV_URL) {
    if (TSDEV_TOKEN) return { url: TSDEV_URL.replace(/\/+$/, ""), token: TSDEV_TOKEN };
    throw new TsdevError("unauthenticated", {
      message: "TSDEV_URL is set but TSDEV_TOKEN is not",
      fix: "set TSDEV_TOKEN as well",
    });
  }
  const noted = (await readFile(notePath(), "utf8").catch(() => "")).trim();
  for (const directory of data ? [data] : [".tsdev", noted].filter(Boolean)) {
    const address = await readJson(join(directory, "control-plane.json"), Address);
    if (address) return address;
  }
  throw new TsdevError("unavailable", {
    message: data ? `no platform runs on ${data}` : "no platform runs on this machine",
    fix: "start one with `npx tsdev serve`, or set TSDEV_URL and TSDEV_TOKEN",
  });
}

/** A client of one platform; the audit log has the command line as its face. */
export class Client extends ApiClient {
  readonly address: Address;

  constructor(address: Address) {
    super({ ...address, face: "cli" });
    this.address = address;
  }
}
