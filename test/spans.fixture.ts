// For tests: sends the spans of one request to a platform as OTLP/JSON, with the token that an app outside it would use.
import { randomBytes } from "node:crypto";
import type { PlatformProcess } from "./platform.fixture.ts";

const attribute = (key: string, value: string) => ({ key, value: { stringValue: value } });

/** One request with `queries` equal queries below it, each after the other; answers the trace id. */
export async function sendNPlusOne(platform: PlatformProcess, project: string, queries: number): Promise<string> {
  const where = { project, environment: "production" };
  const { token } = await platform.client.call("identity.ingestToken", where);
  const traceId = randomBytes(16).toString("hex");
  const root = randomBytes(8).toString("hex");
  const start = BigInt(Date.now()) * 1_000_000n;
  const at = (ms: number) => String(start + BigInt(ms) * 1_000_000n);
  const spans = [
    {
      traceId,
      spanId: root,
      name: "GET /orders",
      kind: 2,
      startTimeUnixNano: at(0),
      endTimeUnixNano: at(queries + 10),
      attributes: [attribute("http.request.method", "GET"), attribute("http.route", "/orders")],
    },
    ...Array.from({ length: queries }, (_, index) => ({
      traceId,
      spanId: randomBytes(8).toString("hex"),
      parentSpanId: root,
      name: "pg.query:SELECT",
      kind: 3,
      startTimeUnixNano: at(index + 5),
      endTimeUnixNano: at(index + 6),
      attributes: [
        attribute("db.system.name", "postgresql"),
        attribute("db.query.text", "SELECT name FROM customers WHERE id = $1"),
        attribute("code.file.path", "orders.ts"),
        attribute("code.line.number", "3"),
      ],
    })),
  ];
  const resource = { attributes: [attribute("service.name", "noisy")] };
  const answer = await fetch(`${platform.address.otlp}/v1/traces`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ resourceSpans: [{ resource, scopeSpans: [{ scope: { name: "test" }, spans }] }] }),
  });
  if (!answer.ok) throw new Error(`the platform refused the spans: ${answer.status} ${await answer.text()}`);
  return traceId;
}
