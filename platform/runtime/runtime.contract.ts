// The contract of every runtime: one suite that the local and the Kubernetes adapter both pass.
import { request } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { InstanceGroup, OutputLine, Runtime, StartFailure } from "./runtime.ts";

export interface RuntimeUnderTest {
  runtime: Runtime;
  /** A group that runs `start` in the fixtures' release (`web.mjs`, `crash.mjs`, `silent.mjs`), with hosts of its own. */
  group(deploymentId: string, changes?: Partial<InstanceGroup>): InstanceGroup;
  dispose(): Promise<void>;
}

export interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: string;
}

/** One request through the router to a host. */
export function ask(
  url: string,
  host: string,
  path = "/",
  options: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { port, hostname } = new URL(url);
    const asked = request(
      {
        ...{ host: hostname === "localhost" ? "127.0.0.1" : hostname, port, path, method: options.method ?? "GET" },
        headers: { ...options.headers, host },
        agent: false,
      },
      (response) => {
        let body = "";
        response.setEncoding("utf8").on("data", (text) => (body += text));
        response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
        response.on("error", reject);
      },
    );
    asked.on("error", reject);
    asked.end(options.body);
  });
}

/** Waits until `check` gives something, 20 s at most. */
export async function eventually<T>(
  what: string,
  check: () => T | undefined | false | Promise<T | undefined | false>,
): Promise<T> {
  const end = performance.now() + 20_000;
  for (;;) {
    const value = await check();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > end) throw new Error(`never came true: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 15));
  }
}

export const never = new AbortController().signal;

/** Runs the suite. */
export function runtimeContract(name: string, open: () => Promise<RuntimeUnderTest>): void {
  describe(`${name}: the runtime contract`, () => {
    let tested: RuntimeUnderTest;
    let runtime: Runtime;
    const failed = async (group: InstanceGroup): Promise<StartFailure> => {
      const result = await runtime.start(group, never);
      if (result.ok) throw new Error("the start should have failed");
      return result;
    };

    beforeAll(async () => {
      tested = await open();
      runtime = tested.runtime;
    });
    afterAll(() => tested?.dispose());

    it("starts, switches to and serves a group under its hosts, and nothing before the switch", async () => {
      const group = tested.group("dep_a", { env: { VERSION: "a" }, replicas: 2 });
      expect(await runtime.start(group, never)).toEqual({ ok: true });
      expect((await ask(runtime.routerUrl, group.hosts[0]!)).status).toBe(404);
      await runtime.switchTo("dep_a");
      const answer = await ask(runtime.routerUrl, group.hosts[0]!, "/hello");
      expect(answer.status).toBe(200);
      expect(JSON.parse(answer.body)).toMatchObject({ version: "a", url: "/hello" });
      expect((await runtime.status("dep_a")).map((instance) => instance.state)).toEqual(["healthy", "healthy"]);
    });

    it("keeps instances that run when the same start and switch come again", async () => {
      const before = (await runtime.status("dep_a")).map((instance) => instance.id);
      expect(await runtime.start(tested.group("dep_a", { env: { VERSION: "a" }, replicas: 2 }), never)).toEqual({
        ok: true,
      });
      await runtime.switchTo("dep_a");
      expect((await runtime.status("dep_a")).map((instance) => instance.id)).toEqual(before);
    });

    it("replaces the group of the service on a switch and ends every process of the old one", async () => {
      const group = tested.group("dep_b", { env: { VERSION: "b" } });
      expect(await runtime.start(group, never)).toEqual({ ok: true });
      await runtime.switchTo("dep_b");
      expect(JSON.parse((await ask(runtime.routerUrl, group.hosts[0]!)).body).version).toBe("b");
      const old = await runtime.status("dep_a");
      expect(old.every((instance) => instance.state === "exited")).toBe(true);
    });

    it("reports a crash at once with the exit code and the last lines, and keeps serving the live group", async () => {
      const failure = await failed(tested.group("dep_crash", { start: "node crash.mjs" }));
      expect(failure.error.code).toBe("crashed");
      expect(failure.error.message).toContain("code 9");
      expect(failure.error.message).toContain("Error: no DATABASE_URL");
      expect(failure.lastLines).toContain("reading the configuration");
      expect((await ask(runtime.routerUrl, tested.group("x").hosts[0]!)).status).toBe(200);
    });

    it("reports an app that is never ready, and leaves nothing of it running", async () => {
      const failure = await failed(tested.group("dep_unready", { env: { READY: "no" } }));
      expect(failure.error.code).toBe("unhealthy");
      expect(failure.error.message).toContain("GET /readyz answers 503");
      const left = await runtime.status("dep_unready");
      expect(left.every((instance) => instance.state === "exited")).toBe(true);
    });

    it("ends what it started when the caller gives up", async () => {
      const abort = new AbortController();
      const starting = runtime.start(tested.group("dep_given_up", { start: "node silent.mjs" }), abort.signal);
      await eventually("it runs", async () =>
        (await runtime.status("dep_given_up")).some(({ state }) => state === "starting"),
      );
      abort.abort();
      expect(await starting).toMatchObject({ ok: false, error: { code: "canceled" } });
      expect((await runtime.status("dep_given_up")).every(({ state }) => state === "exited")).toBe(true);
    });

    it("scales up, down, to nothing and back", async () => {
      const host = tested.group("x").hosts[0]!;
      const running = async () => (await runtime.status("dep_b")).filter(({ state }) => state === "healthy").length;
      expect(await runtime.scale("dep_b", 3, never)).toEqual({ ok: true });
      expect(await running()).toBe(3);
      const pids = new Set<number>();
      for (let i = 0; i < 12; i++) pids.add(JSON.parse((await ask(runtime.routerUrl, host)).body).pid);
      expect(pids.size).toBe(3);
      expect(await runtime.scale("dep_b", 0, never)).toEqual({ ok: true });
      expect(await running()).toBe(0);
      expect((await ask(runtime.routerUrl, host)).status).toBe(503);
      expect(await runtime.scale("dep_b", 1, never)).toEqual({ ok: true });
      expect((await ask(runtime.routerUrl, host)).status).toBe(200);
    });

    it("starts an instance of the live group again when it ends by itself", async () => {
      const host = tested.group("x").hosts[0]!;
      const [before] = (await runtime.status("dep_b")).filter(({ state }) => state === "healthy");
      await ask(runtime.routerUrl, host, "/exit?code=3").catch(() => {});
      // Held while the new one starts: with one instance there is no other to ask.
      const answer = await eventually("it serves again", async () => {
        const got = await ask(runtime.routerUrl, host);
        return got.status === 200 && got;
      });
      expect(JSON.parse(answer.body).pid).not.toBe(before?.pid);
      const now = (await runtime.status("dep_b")).find(({ state }) => state === "healthy");
      expect(now?.restarts).toBeGreaterThan(0);
    });

    it("hands on every line of both streams, whole, with multi-byte characters and a last one without newline", async () => {
      const host = tested.group("x").hosts[0]!;
      const lines: OutputLine[] = [];
      const abort = new AbortController();
      const reading = runtime.output((line) => void lines.push(line), abort.signal);
      const out = encodeURIComponent("eins\nzwei ü 日本 🙂\n");
      const err = encodeURIComponent("oh no\n");
      await ask(runtime.routerUrl, host, `/print?out=${out}&err=${err}`);
      await eventually("the lines came", () => lines.some((line) => line.text === "oh no"));
      await eventually("the lines came", () => lines.some((line) => line.text === "zwei ü 日本 🙂"));
      const mine = (stream: string) => lines.filter((line) => line.stream === stream).map((line) => line.text);
      expect(mine("stdout")).toContain("eins");
      expect(mine("stderr")).toContain("oh no");
      expect(lines.every((line) => line.deploymentId !== "" && line.service === tested.group("x").service)).toBe(true);
      abort.abort();
      await reading;
    });

    it("stops every group that is not to be retained", async () => {
      expect(
        await runtime.start(tested.group("dep_c", { service: "other", hosts: ["other.localhost"] }), never),
      ).toEqual({ ok: true });
      await runtime.retain(["dep_b"]);
      expect((await runtime.status("dep_c")).every(({ state }) => state === "exited")).toBe(true);
      expect((await ask(runtime.routerUrl, tested.group("x").hosts[0]!)).status).toBe(200);
    });

    it("stops a group and then answers that nothing is deployed", async () => {
      await runtime.stop("dep_b");
      await runtime.stop("dep_b");
      expect((await ask(runtime.routerUrl, tested.group("x").hosts[0]!)).status).toBe(404);
      await expect(runtime.switchTo("dep_b")).rejects.toMatchObject({ code: "not_found" });
    });
  });
}
