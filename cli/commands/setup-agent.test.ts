// setup agent writes each client's file, keeps what else is in it, and leaves alone what it cannot keep.
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { parse } from "smol-toml";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const tsdev = join(import.meta.dirname, "../tsdev.js");
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tsdev-agent-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function setUp(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const command = [tsdev, "setup", "agent", ...args];
  return promisify(execFile)(process.execPath, command, { cwd: folder }).then(
    (done) => ({ code: 0, ...done }),
    (failed: { code: number; stdout: string; stderr: string }) => failed,
  );
}

async function put(file: string, text: string): Promise<void> {
  await mkdir(dirname(join(folder, file)), { recursive: true });
  await writeFile(join(folder, file), text);
}

const text = (file: string) => readFile(join(folder, file), "utf8");
const started = { command: "node", args: [tsdev, "mcp"] };

describe.each([
  ["cursor", ".cursor/mcp.json", "mcpServers", started],
  ["vscode", ".vscode/mcp.json", "servers", { type: "stdio", ...started }],
  ["claude", ".mcp.json", "mcpServers", started],
  ["zed", ".zed/settings.json", "context_servers", started],
])("%s", (client, file, key, entry) => {
  it("gets a file of its own, and says which", async () => {
    const { code, stdout } = await setUp("--client", client, "--json");
    expect(code).toBe(0);
    const said = JSON.parse(stdout) as { file: string; client: string };
    expect(said.client).toBe(client);
    expect(said.file.endsWith(file)).toBe(true);
    expect(JSON.parse(await text(file))).toEqual({ [key]: { tsdev: entry } });
  });

  it("keeps other keys and servers, and a second time changes nothing", async () => {
    await put(file, JSON.stringify({ other: [1], [key]: { theirs: { command: "x" } } }, null, 4));
    await setUp("--client", client);
    const once = await text(file);
    expect(JSON.parse(once)).toEqual({ other: [1], [key]: { theirs: { command: "x" }, tsdev: entry } });
    expect(once).toMatch(/^ {4}"other"/m);
    await setUp("--client", client);
    expect(await text(file)).toBe(once);
  });

  it("with comments is left as it is, and what to add is said", async () => {
    const commented = `{\n  // mine\n  "${key}": {}\n}\n`;
    await put(file, commented);
    const { code, stderr } = await setUp("--client", client, "--json");
    expect(code).toBe(1);
    expect(JSON.parse(stderr)).toMatchObject({
      error: { code: "invalid_config", fix: expect.stringContaining("mcp") },
    });
    expect(await text(file)).toBe(commented);
  });
});

describe("codex", () => {
  it("gets its table at the end of its file, and keeps comments and other tables", async () => {
    const before = '# mine\nmodel = "x"\n\n[mcp_servers.theirs]\ncommand = "y" # why\n';
    await put(".codex/config.toml", before);
    expect((await setUp("--client", "codex")).code).toBe(0);
    const after = await text(".codex/config.toml");
    expect(after.startsWith(before)).toBe(true);
    expect(parse(after)).toEqual({
      model: "x",
      mcp_servers: { theirs: { command: "y" }, tsdev: started },
    });
    await setUp("--client", "codex");
    expect(await text(".codex/config.toml")).toBe(after);
  });

  it("is left alone where its table cannot be added", async () => {
    for (const before of ['mcp_servers = { theirs = { command = "y" } }\n', "not toml at all\n"]) {
      await put(".codex/config.toml", before);
      expect((await setUp("--client", "codex")).code).toBe(1);
      expect(await text(".codex/config.toml")).toBe(before);
    }
  });
});

it("finds the client by its folder, and takes claude where there is none", async () => {
  expect(JSON.parse((await setUp("--json")).stdout)).toMatchObject({ client: "claude" });
  await mkdir(join(folder, ".vscode"));
  expect(JSON.parse((await setUp("--json")).stdout)).toMatchObject({ client: "vscode" });
});

it("used wrongly ends with 2", async () => {
  expect((await setUp("--client", "emacs")).code).toBe(2);
});
