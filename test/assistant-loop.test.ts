// The loop by an assistant: a real MCP client deploys the shop, reads the N+1's trace and its suggestion, and applies it.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { Demo, projectName } from "../demo/steps.ts";

/** Proofs measure, and a busy machine makes them take more boots. */
const limitMs = 10 * 60_000;
const where = { project: projectName, environment: "production" };

const data = mkdtempSync(join(tmpdir(), "tsdev-assistant-"));
// what the platform would open by itself is left to the assistant
const demo = new Demo(data, { automatic: false });
const client = new Client({ name: "test", version: "1" });

async function tool(name: string, input: object): Promise<string> {
  const result = await client.callTool({ name, arguments: { ...input } }, undefined, { timeout: limitMs });
  const text = (result.content as { text?: string }[]).map((part) => part.text ?? "").join("\n");
  expect(result.isError ?? false, text).toBe(false);
  return text;
}

beforeAll(async () => {
  await demo.startPlatform(0);
  await demo.startPartners();
  const { mcp, token } = demo.platform.address;
  const requestInit = { headers: { authorization: `Bearer ${token}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL(mcp), { requestInit }));
}, limitMs);

afterAll(async () => {
  await client.close();
  await demo.stop();
  rmSync(data, { recursive: true, force: true });
});

test(
  "deploys, sees the N+1 in a trace, reads the suggestion with its proof and opens the pull request",
  async () => {
    const pushed = await demo.deploy(() => undefined);
    expect(await tool("deploy", where)).toMatch(/live/);
    expect(await tool("list_deployments", where)).toContain(pushed.commit.slice(0, 7));
    // "deploy" made the same commit live once more, so the traffic goes to that deployment
    const [live] = (await demo.deployments()).filter((one) => one.status === "live");
    if (!live) throw new Error("nothing is live");
    await demo.drive(live, () => undefined);

    const traces = await tool("search_traces", { ...where, route: "/orders", slowerThanMs: 0 });
    const slow = traces.split("\n").find((line) => /\b51 queries\b.* GET \/orders$/.test(line));
    const trace = await tool("get_trace", { trace: /[0-9a-f]{32}/.exec(slow ?? "")?.[0] });
    expect(trace).toMatch(/50/);
    expect(trace).toContain("src/orders.ts:35");

    await tool("analyze", where);
    const id = await vi.waitFor(
      async () => {
        const list = await tool("list_suggestions", where);
        const found = /sug_\w+/.exec(list.split("\n").find((line) => line.includes("N+1 in GET /orders")) ?? "")?.[0];
        if (!found) throw new Error("not found yet");
        const suggestion = await tool("get_suggestion", { suggestion: found });
        expect(suggestion).toMatch(/51\D+2\b/);
        return found;
      },
      { timeout: limitMs, interval: 1000 },
    );
    expect(await tool("get_suggestion", { suggestion: id })).toContain("= ANY($1)");
    expect(await demo.pullRequests()).toEqual([]);

    expect(await tool("apply_suggestion", { suggestion: id })).toMatch(/#1\b|pulls\/1\b/);
    expect(await demo.pullRequests()).toMatchObject([
      { number: 1, state: "open", branch: expect.stringMatching(/^tsdev\/n-plus-one\//) },
    ]);
  },
  limitMs,
);
