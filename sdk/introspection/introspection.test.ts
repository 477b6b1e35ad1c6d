// Introspection: an app's declarations as JSON, its graphs as what Mermaid itself can read, and who may see them.
import DOMPurify from "dompurify";
import { beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { createRegistry } from "../registry.ts";
import { workflow } from "../workflows/workflow.ts";
import * as declarations from "./compose/declarations.fixture.ts";
import { describe as describeRegistry } from "./describe.ts";
import { toMermaid } from "./mermaid.ts";
import { introspectionRoutes } from "./routes.ts";

const { loadOrder, sendEmail, check, pick, paid, archive, charge, refund } = declarations;
const everything = workflow("everything")
  .input(z.object({ orderId: z.string() }))
  .step(loadOrder)
  .withRetry({ maxAttempts: 3 })
  .step(charge, { as: "payment", with: ({ order }) => ({ amount: order.total, currency: "EUR" as const }) })
  .compensate(refund, { with: ({ payment }) => ({ chargeId: payment.chargeId }) })
  .when(
    "is-large",
    ({ order }) => order.total > 100,
    (then) => then.step(sendEmail, { with: ({ order }) => ({ to: order.email }) }),
  )
  .each(
    "picked",
    ({ lines }) => lines,
    (item) => item.step(pick, { with: ({ item }) => ({ sku: item.sku }) }),
  )
  .repeat("poll", (round) => round.step(check), { until: ({ status }) => status === "ready", maxTimes: 3 })
  .waitFor("seen", paid, { key: ({ orderId }) => orderId, timeoutMs: 1_000 })
  .approve("manager")
  .sleep("cool-off", { ms: 5 })
  .call(archive, { as: "archived", with: ({ orderId }) => ({ orderId }) });

/** As a definition that never went through the builder could have it. */
const odd = 'odd"] --> x["; <script>alert(1)</script> %%{init}%% `#quot;';
const oddities = { ir: { ir: 1 as const, name: "end", nodes: [{ op: "step" as const, id: odd, procedure: odd }] } };
const registry = createRegistry([...Object.values(declarations), everything]);

describe("a description", () => {
  const described = describeRegistry(registry);

  test("has contracts with what is sensitive marked, effects, places and graphs; the same each time, as plain JSON", () => {
    const email = described.procedures.find(({ name }) => name === "sendEmail");
    expect(email).toMatchObject({
      input: { properties: { to: { type: "string" }, secret: { type: "string", sensitive: true } }, required: ["to"] },
      effects: { reads: ["orders"], writes: ["mail"] },
      idempotent: null,
      source: expect.stringMatching(/^sdk\/introspection\/compose\/declarations\.fixture\.ts:\d+$/),
    });
    expect(JSON.parse(JSON.stringify(described))).toEqual(described);
    expect(describeRegistry(createRegistry([everything, ...Object.values(declarations)]))).toEqual(described);
  });

  test("says what each node reads and writes, and null where a function decides", () => {
    const nodes = described.workflows.find(({ name }) => name === "everything")?.nodes;
    expect(nodes).toMatchObject({
      loadOrder: { reads: ["orderId"], writes: ["order", "lines"] },
      payment: { reads: null, writes: ["payment"] },
      "is-large": { reads: null, writes: ["sent"] },
      picked: { reads: null, writes: ["picked"] },
      poll: { writes: ["status"] },
      manager: { reads: [], writes: ["manager"] },
      archived: { writes: ["archived"] },
    });
  });
});

describe("a flowchart", () => {
  let parse: (text: string) => Promise<unknown>;
  beforeAll(async () => {
    // Mermaid cleans labels by the browser's document, which its parser does not need.
    Object.assign(DOMPurify, { addHook: () => undefined, sanitize: (text: string) => text });
    const { default: mermaid } = await import("mermaid");
    parse = (text) => mermaid.parse(text);
  });

  test("has every node, and Mermaid can read it", async () => {
    const chart = toMermaid(everything);
    await expect(parse(chart)).resolves.toMatchObject({ diagramType: "flowchart-v2" });
    for (const id of Object.keys(
      describeRegistry(registry).workflows.find(({ name }) => name === "everything")!.nodes,
    )) {
      expect(chart).toContain(id);
    }
  });

  test("keeps names of any shape inside their labels", async () => {
    const chart = toMermaid(oddities);
    await expect(parse(chart)).resolves.toMatchObject({ diagramType: "flowchart-v2" });
    expect(chart).not.toContain("<script>");
    expect(chart.match(/-->/g)).toHaveLength(2);
  });
});

describe("the routes", () => {
  test("answer whom the app lets in, and look absent to others", async () => {
    const open = introspectionRoutes(registry, { allow: (request) => request.headers.get("authorization") === "yes" });
    const ask = (path: string, headers = {}) => open.request(path, { headers });
    expect((await ask("/_tsdev/registry")).status).toBe(404);
    const answer = await ask("/_tsdev/registry", { authorization: "yes" });
    expect(await answer.json()).toEqual(describeRegistry(registry));
    const chart = await ask("/_tsdev/workflows/everything.mmd", { authorization: "yes" });
    expect(await chart.text()).toBe(toMermaid(everything));
    expect((await introspectionRoutes(registry).request("/_tsdev/registry")).status).toBe(404);
  });
});
