// add-retry and join-parallel on fixtures: what they write, when they decline, and that the workflow then runs as it says.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Finding } from "../../analyzers/finding.ts";
import { type AnyWorkflow, openEngine } from "../../sdk/index.ts";
import { patchFor } from "./index.ts";

const folder = join(import.meta.dirname, "__fixtures__");
const inputs = readdirSync(folder).filter((name) => name.startsWith("workflow-") && name.endsWith(".input.ts"));
const text = (name: string) => readFileSync(join(folder, name), "utf8");

/** The first line says what is asked: `// retry NODE` or `// join A, B`, and `, declines: CONDITION`. */
function asked(name: string): { finding: Finding; condition: string | undefined } {
  const [, what, subject = "", condition] = /^\/\/ (retry|join) (.*?)(?:, declines: (\S+))?$/m.exec(text(name)) ?? [];
  const base = {
    fingerprint: "0123456789abcdef",
    service: "shop",
    title: "",
    file: name,
    line: 1,
    occurrences: 30,
    of: 400,
    wastedMs: 300,
    p50Ms: 10,
    p95Ms: 20,
    traceIds: [],
  };
  if (what === "retry") {
    const evidence = {
      kind: "flaky-step" as const,
      workflow: "flow",
      node: subject,
      procedure: subject,
      attempts: 400,
      failures: 30,
      errorTypes: { ECONNRESET: 30 },
      healed: { of: 30, count: 30 },
      safeBecause: ["it declares `idempotent: true`"],
    };
    return { finding: { ...base, detector: "flaky-step", evidence }, condition };
  }
  const nodes = subject.split(", ");
  const evidence = {
    kind: "parallel-steps" as const,
    workflow: "flow",
    nodes,
    procedures: nodes,
    durationsMs: [20, 20],
    runs: 400,
    savedMs: 20,
  };
  return { finding: { ...base, detector: "parallel-steps", evidence }, condition };
}

const patch = (name: string, source = text(name)) =>
  patchFor(asked(name).finding, async (path) => {
    if (path === name) return source;
    return path === "procedures.ts" ? text("procedures.ts") : null;
  });

const patched = inputs.filter((name) => asked(name).condition === undefined);

describe.each(patched)("%s", (name) => {
  test("becomes its output file, and is not patched a second time", async () => {
    const result = await patch(name);
    if (!result.ok) throw new Error(`declined: ${result.declined.condition}: ${result.declined.reason}`);
    const after = result.patch.files[0]?.after ?? "";
    await expect(after).toMatchFileSnapshot(join(folder, name.replace(".input.", ".output.")));
    const chain = text(name).indexOf("export const flow");
    expect(after.startsWith(text(name).slice(0, chain))).toBe(true);
    expect(await patch(name, after)).toMatchObject({ ok: false });
  });

  test("runs to the same output as before", async () => {
    const engine = await openEngine();
    const outputs: unknown[] = [];
    for (const file of [name, name.replace(".input.", ".output.")]) {
      const { flow } = (await import(join(folder, file))) as { flow: AnyWorkflow };
      outputs.push(await engine.execute(flow as never, { orderId: "o1" } as never));
    }
    await engine.close();
    expect(outputs[1]).toEqual(outputs[0]);
  });
});

test.each(inputs.filter((name) => asked(name).condition !== undefined))("%s declines", async (name) => {
  const result = await patch(name);
  expect(result).toMatchObject({ ok: false, declined: { condition: asked(name).condition } });
});

test("a step whose procedure is declared nowhere in the checkout declines", async () => {
  const name = "workflow-retry-lines.input.ts";
  const result = await patchFor(asked(name).finding, async (path) => (path === name ? text(name) : null));
  expect(result).toMatchObject({ ok: false, declined: { condition: "no-such-step" } });
});
