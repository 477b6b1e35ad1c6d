// Apps on the SDK, deployed as a person does it: the one that `tsdev init` writes, and the documents example with its partners.
import { cp } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Partners, startPartners } from "../examples/documents/partners/partners.ts";
import { endAndRemove, eventually, PlatformProcess, temporaryFolder, tsdev } from "./platform.fixture.ts";

let folder: string;
let data: string;
let platform: PlatformProcess;
let partners: Partners;

beforeAll(async () => {
  folder = await temporaryFolder("sdk-apps");
  data = join(folder, "data");
  platform = await PlatformProcess.start(data);
  partners = await startPartners();
}, 120_000);

afterAll(async () => {
  await partners?.close();
  await endAndRemove(data, platform);
  await endAndRemove(folder, undefined);
}, 120_000);

async function succeed(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await tsdev(args);
  expect(code, stderr).toBe(0);
  return stdout;
}

/** A request to an app behind the router. */
function send(host: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<unknown> {
  const payload = body === undefined ? undefined : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        host: "127.0.0.1",
        port: new URL(platform.address.url).port,
        path,
        method: payload === undefined ? "GET" : "POST",
        headers: { host, "content-type": "application/json", ...headers },
        agent: false,
      },
      (response) => {
        response
          .setEncoding("utf8")
          .toArray()
          .then((chunks) => resolve(JSON.parse(chunks.join(""))))
          .catch(reject);
      },
    );
    sent.on("error", reject).end(payload);
  });
}

test("what `tsdev init` wrote into an empty folder is built with the SDK it carries, and answers", async () => {
  const app = join(folder, "first-flow");
  const { created } = JSON.parse(await succeed("init", app, "--json"));
  expect(created).toEqual(expect.arrayContaining(["package.json", "src/main.ts", "vendor/tsdev-sdk-0.1.0.tgz"]));
  expect(JSON.parse(await succeed("init", app, "--json")).created).toEqual([]);
  await succeed("deploy", app, "--data", data, "--json");
  const host = "first-flow.first-flow.localhost";
  expect(await send(host, "/greetings/Ada")).toEqual({ greeting: "Hello, Ada!" });
  const run = await send(host, "/workflows/welcome/runs", { name: "Ada" });
  expect(run).toMatchObject({ state: "done", output: { letters: 11 } });
}, 180_000);

test("the documents example takes a document from its upload to the archive on a database of the platform", async () => {
  const app = join(folder, "documents");
  const example = join(import.meta.dirname, "../examples/documents");
  await cp(example, app, { recursive: true, filter: (path) => !path.includes("node_modules") });
  await platform.project("documents");
  const variables = [`PARTNERS_URL=${partners.url}`, "CLERK_TOKEN=a-clerk", "COOL_OFF_MS=100"];
  await succeed("env", ...variables, "--project", "documents", "--data", data, "--json");
  await succeed("deploy", app, "--project", "documents", "--data", data, "--json");

  const host = "documents.documents.localhost";
  const document = { owner: "shop", title: "Lamps", text: "Invoice. Tax id: DE1. Total: 12.50" };
  const { runId } = (await send(host, "/documents", document)) as { runId: string };
  const path = `/workflows/document-pipeline/runs/${runId}`;
  const state = async () => ((await send(host, path)) as { state: string }).state;
  await eventually("the clerk is asked", async () => (await state()) === "waiting");
  await send(host, `${path}/approvals/clerk`, { approved: true }, { authorization: "Bearer a-clerk" });
  await eventually("the document is archived", async () => (await state()) === "done");
}, 180_000);
