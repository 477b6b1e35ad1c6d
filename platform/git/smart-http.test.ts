// Git over HTTP with the real git client against a real socket: pushes, refusals, large packs, and kills.
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, utimes, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { serve } from "@hono/node-server";
import { execa } from "execa";
import { Hono } from "hono";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import type { Principal } from "../../sdk/operation.ts";
import type { Store } from "../store/store.ts";
import { openGitHubHost } from "./github-host.ts";
import { type HostOnDisk, openHostOnDisk, person } from "./local-host.fixture.ts";
import type { LocalGitHost } from "./local-host.ts";
import { gitHttp, type ReceivedPush } from "./smart-http.ts";
import { unrecordedPushes } from "./unrecorded-pushes.ts";

let disk: HostOnDisk;
let directory: string;
let store: Store;
let host: LocalGitHost;
let server: ReturnType<typeof serve>;
let port: number;
let organizationId: string;
const principals = new Map<string, Principal>();
let onPush: (push: ReceivedPush) => Promise<string[] | undefined>;
let pushes: ReceivedPush[];

beforeAll(async () => {
  disk = await openHostOnDisk();
  ({ directory, store, host } = disk);
  organizationId = await disk.organization();
  const stranger = await disk.organization();
  principals.set("dev-token", { id: "tok_dev", name: "dev", organizationId, role: "developer" });
  principals.set("view-token", { id: "tok_view", name: "view", organizationId, role: "viewer" });
  principals.set("other-token", { id: "tok_other", name: "other", organizationId: stranger, role: "owner" });
  const app = new Hono().route(
    "/git",
    gitHttp({ host, authenticate: async (token) => principals.get(token) ?? null, onPush: (push) => onPush(push) }),
  );
  server = serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" });
  await once(server, "listening");
  port = (server.address() as AddressInfo).port;
});

afterAll(async () => {
  server?.close();
  await disk?.close();
});

beforeEach(() => {
  pushes = [];
  onPush = async (push) => {
    pushes.push(push);
    return [`${push.branch} is at ${push.after.slice(0, 7)}`];
  };
});

const environment = {
  PATH: process.env.PATH,
  HOME: "/nonexistent",
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_TERMINAL_PROMPT: "0",
  ...person,
};

async function git(cwd: string, ...args: string[]) {
  return await execa("git", args, { cwd, env: environment, extendEnv: false, reject: false });
}

const project = (name: string) => disk.project(organizationId, name);

async function clone(): Promise<string> {
  const folder = await mkdtemp(join(directory, "clone-"));
  await git(folder, "init", "--quiet", "--initial-branch=main");
  await commit(folder, "a.txt", "1\n");
  return folder;
}

async function commit(folder: string, path: string, content: string | Uint8Array): Promise<string> {
  await writeFile(join(folder, path), content);
  await git(folder, "add", "-A");
  await git(folder, "commit", "--quiet", "-m", `Write ${path}`);
  return (await git(folder, "rev-parse", "HEAD")).stdout.trim();
}

const url = (name: string, token = "dev-token") => `http://git:${token}@127.0.0.1:${port}/git/${name}.git`;

describe("pushing", () => {
  test("a push is recorded before it is answered, and the pusher reads what follows", async () => {
    const location = await project("shop");
    const folder = await clone();
    const first = (await git(folder, "rev-parse", "HEAD")).stdout.trim();
    let acknowledged = false;
    onPush = async (push) => {
      expect(acknowledged).toBe(false);
      pushes.push(push);
      return ["deployment queued"];
    };
    const pushed = await git(folder, "push", url("shop"), "main");
    acknowledged = true;
    onPush = async (push) => {
      pushes.push(push);
      return undefined;
    };
    expect(pushed.stderr).toContain("remote: tsdev: deployment queued");
    expect(pushed.exitCode).toBe(0);
    expect(pushes).toEqual([
      {
        project: { id: location, organizationId, name: "shop", location },
        branch: "main",
        before: null,
        after: first,
        message: "Write a.txt",
        principal: principals.get("dev-token"),
      },
    ]);
    expect(await host.head(location, "main")).toBe(first);

    const second = await commit(folder, "b.txt", "2\n");
    await git(folder, "push", url("shop"), "main", "main:feature/x");
    expect(pushes.slice(1).map(({ branch, before, after }) => ({ branch, before, after }))).toEqual([
      { branch: "main", before: first, after: second },
      { branch: "feature/x", before: null, after: second },
    ]);
    await git(folder, "push", url("shop"), ":feature/x");
    await git(folder, "push", url("shop"), "main");
    expect(pushes).toHaveLength(3);
    expect(await host.head(location, "feature/x")).toBeNull();

    const copy = await mkdtemp(join(directory, "copy-"));
    expect((await git(copy, "clone", "--quiet", url("shop", "view-token"), ".")).exitCode).toBe(0);
    expect(await readFile(join(copy, "b.txt"), "utf8")).toBe("2\n");
  });

  test("a push that could not be recorded says so and is found again", async () => {
    const location = await project("unlucky");
    const folder = await clone();
    onPush = async () => {
      throw new Error("the database is away");
    };
    const pushed = await git(folder, "push", url("unlucky"), "main");
    expect(pushed.stderr).toContain("main was received but not recorded: the database is away");
    const lost = await unrecordedPushes({ host, db: store.db });
    expect(lost).toContainEqual(expect.objectContaining({ branch: "main", after: await host.head(location, "main") }));
  });

  test("a push of 20 MB arrives whole and is not held in memory", async () => {
    const location = await project("large");
    const folder = await clone();
    const content = randomBytes(20_000_000);
    await commit(folder, "large.bin", content);
    global.gc?.();
    const before = process.memoryUsage().rss;
    const pushed = await git(folder, "push", url("large"), "main");
    expect(pushed.exitCode).toBe(0);
    expect(process.memoryUsage().rss - before).toBeLessThan(60_000_000);
    const work = join(await mkdtemp(join(directory, "large-")), "work");
    await host.checkout(location, (await host.head(location, "main")) as string, work);
    expect((await readFile(join(work, "large.bin"))).equals(content)).toBe(true);
    const copy = await mkdtemp(join(directory, "copy-"));
    expect((await git(copy, "clone", "--quiet", url("large"), ".")).exitCode).toBe(0);
    expect((await readFile(join(copy, "large.bin"))).equals(content)).toBe(true);
  });

  test("two pushes to one branch at once: one wins, the other is told to fetch first", async () => {
    const location = await project("race");
    const folder = await clone();
    await git(folder, "push", url("race"), "main");
    const others = await Promise.all(
      ["x", "y"].map(async (name) => {
        const copy = await mkdtemp(join(directory, "copy-"));
        await git(copy, "clone", "--quiet", url("race"), ".");
        await commit(copy, `${name}.txt`, name);
        return copy;
      }),
    );
    pushes = [];
    const results = await Promise.all(others.map((copy) => git(copy, "push", url("race"), "main")));
    expect(results.map((result) => result.exitCode).sort()).toEqual([0, 1]);
    expect(pushes).toHaveLength(1);
    expect(await host.head(location, "main")).toBe(pushes[0]?.after);
  });

  test("the refs of pull requests and the default branch cannot be taken away by a push", async () => {
    const location = await project("guarded");
    const folder = await clone();
    await git(folder, "push", url("guarded"), "main");
    expect((await git(folder, "push", url("guarded"), "main:refs/pull/1/head")).exitCode).not.toBe(0);
    expect((await git(folder, "push", url("guarded"), ":main")).exitCode).not.toBe(0);
    expect(await host.head(location, "main")).not.toBeNull();
  });
});

describe("refusals, as the pusher reads them", () => {
  test("a bad token", async () => {
    await project("locked");
    const pushed = await git(await clone(), "push", url("locked", "wrong"), "main");
    expect(pushed.exitCode).not.toBe(0);
    expect(pushed.stderr).toContain("the token is not known");
    expect(pushed.stderr).not.toContain("wrong");
  });

  test("no token", async () => {
    await project("bare");
    const response = await fetch(`http://127.0.0.1:${port}/git/bare.git/info/refs?service=git-receive-pack`);
    expect(response.status).toBe(401);
    expect(response.headers.get("www-authenticate")).toMatch(/^Basic /);
    expect(await response.text()).toContain("no token was sent");
  });

  test("the token is taken as user name, password or bearer", async () => {
    await project("ways");
    const ask = async (authorization: string) =>
      (
        await fetch(`http://127.0.0.1:${port}/git/ways.git/info/refs?service=git-upload-pack`, {
          headers: { authorization },
        })
      ).status;
    const basic = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`;
    expect(await ask(basic("dev-token:"))).toBe(200);
    expect(await ask(basic("x:dev-token"))).toBe(200);
    expect(await ask(basic("dev-token:x-oauth-basic"))).toBe(200);
    expect(await ask("Bearer dev-token")).toBe(200);
    expect(await ask("Bearer nope")).toBe(401);
    expect(await ask("Basic %%%")).toBe(401);
  });

  test("a project that does not exist, or is another organization's", async () => {
    const location = await project("secret");
    const folder = await clone();
    for (const [name, token] of [
      ["nope", "dev-token"],
      ["secret", "other-token"],
    ] as const) {
      const pushed = await git(folder, "push", url(name, token), "main");
      expect(pushed.exitCode).not.toBe(0);
      expect(pushed.stderr).toContain(`remote: tsdev: no project "${name}" here; make it with \`tsdev deploy\``);
    }
    expect(await host.head(location, "main")).toBeNull();
    expect(pushes).toEqual([]);
  });

  test("a viewer may fetch and not push", async () => {
    const location = await project("looked-at");
    const folder = await clone();
    const pushed = await git(folder, "push", url("looked-at", "view-token"), "main");
    expect(pushed.exitCode).not.toBe(0);
    expect(pushed.stderr).toContain("may fetch but not push");
    expect(await host.head(location, "main")).toBeNull();
    // Straight to the second request, as an unfriendly client would.
    const response = await fetch(`http://127.0.0.1:${port}/git/looked-at.git/git-receive-pack`, {
      method: "POST",
      headers: { authorization: "Bearer view-token", "content-type": "application/x-git-receive-pack-request" },
      body: "0000",
    });
    expect(response.status).toBe(403);
  });

  test.each([
    "/git/shop.git/HEAD",
    "/git/shop.git/config",
    "/git/shop.git/objects/info/packs",
    "/git/..%2f..%2fetc.git/info/refs?service=git-upload-pack",
    "/git/%2e%2e.git/info/refs?service=git-upload-pack",
    "/git/shop.git/..%2f..%2fhome/info/refs?service=git-upload-pack",
    "/git/shop.git/info/refs?service=git-upload-archive",
    "/git/shop.git/info/refs",
  ])("%s is not served", async (path) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { authorization: "Bearer dev-token" } });
    expect(response.status).toBe(404);
  });

  test("branch names that git or we refuse do not get in by a push", async () => {
    const location = await project("names");
    const folder = await clone();
    const head = (await git(folder, "rev-parse", "HEAD")).stdout.trim();
    for (const name of ["-x", "a..b", "../../x", "x.lock", "a b"]) {
      expect((await git(folder, "push", url("names"), `${head}:refs/heads/${name}`)).exitCode).not.toBe(0);
    }
    const dashed = await git(folder, "push", url("names"), `${head}:refs/heads/-x`, "main");
    expect(dashed.stderr).toContain('remote: tsdev: "-x" is not a branch name');
    expect(await host.branches(location)).toEqual([]);
  });

  test("what is no pack is refused and leaves the server well", async () => {
    const location = await project("garbage");
    const ask = async (body: Uint8Array, headers: Record<string, string> = {}) =>
      await fetch(`http://127.0.0.1:${port}/git/garbage.git/git-receive-pack`, {
        method: "POST",
        headers: {
          authorization: "Bearer dev-token",
          "content-type": "application/x-git-receive-pack-request",
          ...headers,
        },
        body: body as never,
      });
    await (await ask(randomBytes(5000))).text();
    await (await ask(randomBytes(5000), { "content-encoding": "gzip" })).text();
    expect(await host.branches(location)).toEqual([]);
    expect((await git(await clone(), "push", url("garbage"), "main")).exitCode).toBe(0);
  });
});

describe("kills", () => {
  test("the server is killed while it records a push: git has it, nothing hangs, and the next start finds it", async () => {
    const location = await project("killed");
    const folder = await clone();
    // A control plane of its own, which takes for ever to record.
    const file = join(directory, "slow-server.ts");
    const here = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);
    await writeFile(
      file,
      `import { serve } from ${JSON.stringify(import.meta.resolve("@hono/node-server"))};
import { openStore } from ${here("../store/store.ts")};
import { openLocalGitHost } from ${here("./local-host.ts")};
import { gitHttp } from ${here("./smart-http.ts")};
const store = await openStore({ url: process.env.STORE });
const host = await openLocalGitHost({ directory: process.env.GIT_DIRECTORY, db: store.db, baseUrl: () => "" });
const principal = JSON.parse(process.env.PRINCIPAL);
const app = gitHttp({ host, authenticate: async () => principal, onPush: () => {
  console.log("recording");
  return new Promise(() => setInterval(() => {}, 1000));
} });
serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }, (info) => console.log("port " + info.port));
`,
    );
    const child: ChildProcess = spawn(process.execPath, [file], {
      env: {
        PATH: process.env.PATH,
        STORE: disk.url,
        GIT_DIRECTORY: join(directory, "git"),
        PRINCIPAL: JSON.stringify(principals.get("dev-token")),
      },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    child.stdout?.on("data", (chunk) => {
      output += chunk;
    });
    await vi.waitFor(() => expect(output).toMatch(/port \d+/), { timeout: 30_000 });
    const slow = /port (\d+)/.exec(output)?.[1];
    const pushing = git(folder, "push", `http://git:x@127.0.0.1:${slow}/killed.git`, "main");
    await vi.waitFor(() => expect(output).toContain("recording"), { timeout: 30_000 });
    child.kill("SIGKILL");
    await once(child, "exit");
    // The client ends, whatever it makes of it; no hook is left waiting for us.
    await pushing;
    const head = (await git(folder, "rev-parse", "HEAD")).stdout.trim();
    expect(await host.head(location, "main")).toBe(head);
    await vi.waitFor(async () => {
      const { stdout } = await execa("ps", ["-eo", "args"]);
      expect(stdout).not.toContain(`${location}.git`);
    });
    expect(await unrecordedPushes({ host, db: store.db })).toContainEqual(
      expect.objectContaining({ branch: "main", before: null, after: head, cause: "push" }),
    );
    expect((await git(folder, "push", url("killed"), "main:again")).exitCode).toBe(0);
  });

  test("a lock that a killed git left on the branch does not refuse the next push", async () => {
    const location = await project("stale");
    const folder = await clone();
    await git(folder, "push", url("stale"), "main");
    const lock = join(host.repositoryPath(location), "refs/heads/main.lock");
    const old = new Date(Date.now() - 10_000);
    await writeFile(lock, "");
    await utimes(lock, old, old);
    const second = await commit(folder, "b.txt", "2\n");
    expect((await git(folder, "push", url("stale"), "main")).exitCode).toBe(0);
    expect(await host.head(location, "main")).toBe(second);
  });

  test("a pusher who hangs up in the middle leaves the branch as it was", async () => {
    const location = await project("hung-up");
    const folder = await clone();
    await git(folder, "push", url("hung-up"), "main");
    const before = await host.head(location, "main");
    await commit(folder, "large.bin", randomBytes(20_000_000));
    const pushing = execa("git", ["push", url("hung-up"), "main"], {
      cwd: folder,
      env: environment,
      extendEnv: false,
      reject: false,
      forceKillAfterDelay: false,
    });
    await vi.waitFor(
      async () => {
        const { stdout } = await execa("ps", ["-eo", "args"]);
        expect(stdout).toMatch(/receive-pack|index-pack|unpack-objects/);
      },
      { interval: 5, timeout: 10_000 },
    );
    pushing.kill("SIGKILL");
    await pushing;
    const known = await vi.waitFor(async () => {
      const { stdout } = await execa("ps", ["-eo", "args"]);
      expect(stdout).not.toContain(`${location}.git`);
      return await host.head(location, "main");
    });
    // Either all of it arrived before the kill, or nothing did.
    if (known !== before) expect(pushes.at(-1)?.after).toBe(known);
    expect((await git(folder, "push", url("hung-up"), "main")).exitCode).toBe(0);
  });
});

test("the GitHub host fetches a commit by git, with the token in no argument", async () => {
  const location = await project("fetched");
  const folder = await clone();
  await git(folder, "push", url("fetched"), "main");
  const head = (await host.head(location, "main")) as string;
  const github = await openGitHubHost({
    credentials: { token: "dev-token" },
    directory: join(directory, "github"),
    gitUrl: (name) => `http://127.0.0.1:${port}/git/${name.split("/")[1]}.git`,
  });
  const work = join(await mkdtemp(join(directory, "fetched-")), "work");
  await github.checkout("ada/fetched", head, work);
  expect(await readFile(join(work, "a.txt"), "utf8")).toBe("1\n");
  const stranger = await openGitHubHost({
    credentials: { token: "nope" },
    directory: join(directory, "github"),
    gitUrl: (name) => `http://127.0.0.1:${port}/git/${name.split("/")[1]}.git`,
  });
  const refused = await stranger.checkout("ada/fetched", head, `${work}-2`).catch((error: unknown) => error);
  expect(refused).toMatchObject({ code: "git_rejected" });
});
