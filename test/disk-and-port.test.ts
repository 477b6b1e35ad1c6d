// A machine that is not as a new user thinks: a port that is taken, a data directory that is read-only or full.
import { randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import { chmod, mkdir, open, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { ErrorShape } from "../sdk/errors.ts";
import { AppRepository } from "./app-repository.fixture.ts";
import {
  ask,
  endAndRemove,
  PlatformProcess,
  processesOn,
  refusedStart,
  run,
  type Said,
  temporaryFolder,
} from "./platform.fixture.ts";

// generous, for a machine that is busy with other things
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 });

let folder: string;
let data: string;
let platform: PlatformProcess | undefined;
let mounted: string[];
/** Not on the small disk. */
let elsewhere: string | undefined;

beforeEach(async () => {
  folder = await temporaryFolder("disk");
  data = join(folder, "data");
  platform = undefined;
  mounted = [];
});

afterEach(async () => {
  if (platform) await platform.stopAll();
  for (const place of mounted) await run(["umount", "--lazy", place]);
  await endAndRemove(folder, undefined);
  if (elsewhere) await rm(elsewhere, { recursive: true, force: true });
});

/** One document on stderr, nothing on stdout, exit code 1, and nothing of the start is left running. */
function expectRefusal(said: Said, code: string): ErrorShape {
  expect(said).toMatchObject({ code: 1, stdout: "" });
  const { error } = JSON.parse(said.stderr) as { error: ErrorShape };
  expect(error.code).toBe(code);
  expect(processesOn(folder)).toEqual([]);
  return error;
}

/** Mounts a small file system of memory; skips the test where that is not allowed. */
async function mount(skip: (why: string) => void, place: string, size: string, ...options: string[]): Promise<void> {
  await mkdir(place, { recursive: true });
  const { code, stderr } = await run([
    "mount",
    "-t",
    "tmpfs",
    "-o",
    ["mode=755", `size=${size}`, ...options].join(),
    "tmpfs",
    place,
  ])
    // no such program
    .catch((error: Error) => ({ code: 1, stderr: error.message }));
  if (code !== 0) return skip(`needs to mount a small disk, which this user may not: ${stderr.trim()}`);
  mounted.push(place);
}

describe("a port that is taken", () => {
  let other: Server;
  let port: number;

  beforeEach(async () => {
    other = createServer((_request, response) => response.end("other"));
    await new Promise<void>((listening) => other.listen(0, "127.0.0.1", listening));
    port = (other.address() as AddressInfo).port;
  });
  afterEach(() => other.close());

  test("is told when it was asked for, and the same directory starts on another", async () => {
    const said = await refusedStart(["--data", data, "--port", String(port), "--json"]);
    expect(expectRefusal(said, "port_taken")).toMatchObject({
      message: `port ${port} is in use`,
      fix: expect.stringContaining("--port"),
    });
    expect(await (await fetch(`http://127.0.0.1:${port}`)).text()).toBe("other");
    platform = await PlatformProcess.start(data);
    expect((await fetch(`${platform.address.url}/healthz`)).status).toBe(200);
  });
});

describe("a data directory", () => {
  test("that cannot be written is told, for people and for scripts", async ({ skip }) => {
    await mkdir(data);
    if (process.getuid?.() === 0) await mount(skip, data, "8m", "ro");
    else await chmod(data, 0o555);
    const error = expectRefusal(
      await refusedStart(["--data", data, "--port", "0", "--json"]),
      "data_directory_unwritable",
    );
    expect(error.message).toContain(data);
    expect(error.fix).toMatch(/writable|--data/);
    const forPeople = await refusedStart(["--data", data, "--port", "0"]);
    expect(forPeople).toMatchObject({ code: 1, stdout: "" });
    expect(forPeople.stderr).toMatch(/^error data_directory_unwritable: .*\n {2}fix: .*\n$/);
  });

  test("that is a file is told", async () => {
    await (await open(data, "w")).close();
    const said = await refusedStart(["--data", data, "--port", "0", "--json"]);
    expect(expectRefusal(said, "data_directory_unwritable").message).toContain(data);
  });

  test("with too little room is told before anything is made in it", async ({ skip }) => {
    await mount(skip, data, "64m");
    const said = await refusedStart(["--data", data, "--port", "0", "--json"]);
    expect(expectRefusal(said, "data_directory_unwritable")).toMatchObject({
      message: expect.stringMatching(/only \d+ MiB are free/),
      fix: expect.stringContaining("200 MiB"),
    });
    expect(readdirSync(data)).toEqual([]);
  });

  test("that fills up refuses pushes with a reason while the app serves, and goes on when there is room again", async ({
    skip,
  }) => {
    await mount(skip, folder, "480m");
    platform = await PlatformProcess.start(data);
    const { address } = platform;
    elsewhere = await temporaryFolder("app");
    const app = await AppRepository.from("naive-app", join(elsewhere, "app"));
    const { git } = await platform.project("app");
    const version = async () => JSON.parse((await ask(address.url, "naive.app.localhost")).body).version;
    const deployed = async (text: string) => {
      const commit = await app.commit({ version: text });
      const pushed = await app.push(git, address.token);
      expect(pushed.code, pushed.stderr).toBe(0);
      expect(await platform!.settled("app", (one) => one.commit === commit)).toMatchObject({ status: "live" });
      expect(await version()).toBe(text);
    };
    await deployed("1");

    const filler = join(folder, "filler");
    await fillUp(filler);
    await app.commit({ version: "2" });
    const refused = await app.push(git, address.token);
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toMatch(/data directory is full; free some space there and push again/);
    expect(await version()).toBe("1");
    // what has to write says so, and what only reads still answers
    await expect(writeMuch(platform)).rejects.toMatchObject({
      code: "data_directory_unwritable",
      message: expect.stringContaining("full disk"),
    });
    expect(await platform.deployments("app")).toHaveLength(1);

    await rm(filler);
    await deployed("3");
  });
});

/** More than the database has room for in the files that it has already. */
async function writeMuch({ client }: PlatformProcess): Promise<void> {
  for (let number = 0; number < 100; number++) {
    const variables = { [`V${number}`]: randomBytes(16_000).toString("hex") };
    await client.call("variables.set", { project: "app", environment: "production", variables, secret: false });
  }
}

/** Writes until there is no byte left. */
async function fillUp(path: string): Promise<void> {
  const file = await open(path, "w");
  try {
    for (let size = 1 << 20; size >= 1; size >>= 4) {
      const block = Buffer.alloc(size);
      for (let full = false; !full; ) {
        full = await file.write(block).then(
          ({ bytesWritten }) => bytesWritten < size,
          () => true,
        );
      }
    }
  } finally {
    await file.close();
  }
}
