// For tests: the telemetry of a small shop as OTLP: a gateway, orders with a database, billing, logs, and one long trace.
import { randomBytes } from "node:crypto";
import type { PlatformProcess } from "./platform.fixture.ts";

const kinds = { internal: 1, server: 2, client: 3 };

interface Made {
  id: string;
  parent?: string;
  name: string;
  kind: keyof typeof kinds;
  /** Milliseconds since the trace began. */
  from: number;
  ms: number;
  failed?: boolean;
  attributes?: Record<string, string>;
}

const attributesOf = (of: Record<string, string>) =>
  Object.entries(of).map(([key, stringValue]) => ({ key, value: { stringValue } }));
const nanos = (ms: number) => String(BigInt(Math.round(ms * 1000)) * 1000n);
const id = () => randomBytes(8).toString("hex");

/** What a sender knows: where to, and as whom. */
async function sender(platform: PlatformProcess, project: string) {
  const { token } = await platform.client.call("identity.ingestToken", { project, environment: "production" });
  return async (path: "traces" | "logs" | "metrics", body: object) => {
    const answer = await fetch(`${platform.address.otlp}/v1/${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`the platform refused the ${path}: ${answer.status} ${await answer.text()}`);
  };
}

const resourceSpans = (traceId: string, service: string, start: number, spans: Made[]) => ({
  resource: { attributes: attributesOf({ "service.name": service }) },
  scopeSpans: [
    {
      scope: { name: "test" },
      spans: spans.map((span) => ({
        traceId,
        spanId: span.id,
        parentSpanId: span.parent ?? "",
        name: span.name,
        kind: kinds[span.kind],
        startTimeUnixNano: nanos(start + span.from),
        endTimeUnixNano: nanos(start + span.from + span.ms),
        status: span.failed ? { code: 2, message: "card declined" } : {},
        attributes: attributesOf(span.attributes ?? {}),
        events: span.failed
          ? [
              {
                name: "exception",
                timeUnixNano: nanos(start + span.from + span.ms),
                attributes: attributesOf({ "exception.message": "card declined" }),
              },
            ]
          : [],
      })),
    },
  ],
});

const logRecord = (traceId: string, spanId: string, time: number, severity: number, text: string) => ({
  timeUnixNano: nanos(time),
  severityNumber: severity,
  body: { stringValue: text },
  traceId,
  spanId,
  attributes: attributesOf({ "order.id": traceId.slice(0, 6) }),
});

export interface Seeded {
  /** Of the request whose payment failed, with logs in two services. */
  failed: string;
  /** Of the trace with 4,900 spans. */
  long: string;
}

/** Sends `requests` requests of the last 50 minutes, every 17th of them failed, and the long trace. */
export async function sendShop(platform: PlatformProcess, project: string, requests = 240): Promise<Seeded> {
  const send = await sender(platform, project);
  const now = Date.now();
  let failed = "";
  const spans: object[] = [];
  const logs = new Map<string, object[]>([
    ["gateway", []],
    ["orders", []],
  ]);
  for (let at = 0; at < requests; at++) {
    const traceId = randomBytes(16).toString("hex");
    const start = now - 5_000 - ((requests - at) / requests) * 3_000_000;
    const fails = at % 17 === 0;
    if (fails) failed = traceId;
    const slow = 1 + (at % 23) / 4;
    const [root, call, serve, query, pay, bill] = [id(), id(), id(), id(), id(), id()];
    const route = at % 3 === 0 ? "POST /orders" : "GET /orders/:id";
    const http = { "http.request.method": route.split(" ")[0] ?? "", "http.route": route.split(" ")[1] ?? "" };
    spans.push(
      resourceSpans(traceId, "gateway", start, [
        { id: root, name: route, kind: "server", from: 0, ms: 60 * slow, failed: fails, attributes: http },
        { id: call, parent: root, name: "call orders", kind: "client", from: 4, ms: 50 * slow },
      ]),
      resourceSpans(traceId, "orders", start, [
        {
          id: serve,
          parent: call,
          name: route,
          kind: "server",
          from: 6,
          ms: 46 * slow,
          failed: fails,
          attributes: http,
        },
        {
          id: query,
          parent: serve,
          name: "SELECT orders",
          kind: "client",
          from: 8,
          ms: 9 * slow,
          attributes: {
            "db.system.name": "postgresql",
            "db.namespace": "shop",
            "db.query.text": "SELECT * FROM orders WHERE id = $1",
            "code.file.path": "src/orders.ts",
            "code.line.number": "41",
          },
        },
        { id: pay, parent: serve, name: "pay", kind: "client", from: 8 + 10 * slow, ms: 30 * slow, failed: fails },
      ]),
      resourceSpans(traceId, "billing", start, [
        {
          id: bill,
          parent: pay,
          name: "POST /charges",
          kind: "server",
          from: 9 + 11 * slow,
          ms: 25 * slow,
          failed: fails,
        },
      ]),
    );
    logs.get("gateway")?.push(logRecord(traceId, root, start + 1, 9, `${route} came in`));
    if (at % 5 === 0) logs.get("orders")?.push(logRecord(traceId, serve, start + 7, 13, `stock of order ${at} is low`));
    if (fails) logs.get("orders")?.push(logRecord(traceId, pay, start + 50, 17, `payment of order ${at} was declined`));
  }
  const long = randomBytes(16).toString("hex");
  const top = id();
  const steps = Array.from({ length: 98 }, (_, index) => ({ id: id(), index }));
  spans.push(
    resourceSpans(long, "orders", now - 4_000, [
      { id: top, name: "nightly report", kind: "server", from: 0, ms: 2_000 },
      ...steps.map(
        ({ id: step, index }): Made => ({
          id: step,
          parent: top,
          name: `customer ${index}`,
          kind: "internal",
          from: index * 20,
          ms: 19,
        }),
      ),
      ...steps.flatMap(({ id: step, index }) =>
        Array.from(
          { length: 49 },
          (_, part): Made => ({
            id: id(),
            parent: step,
            name: `line ${part}`,
            kind: "internal",
            from: index * 20 + part * 0.38,
            ms: 0.3,
            failed: index === 97 && part === 48,
          }),
        ),
      ),
    ]),
  );
  await send("traces", { resourceSpans: spans });
  await send("logs", {
    resourceLogs: [...logs].map(([service, logRecords]) => ({
      resource: { attributes: attributesOf({ "service.name": service }) },
      scopeLogs: [{ scope: { name: "test" }, logRecords }],
    })),
  });
  const minutes = Array.from({ length: 50 }, (_, index) => now - (50 - index) * 60_000);
  const point = (at: number, asDouble: number, attributes: Record<string, string>) => ({
    timeUnixNano: nanos(at),
    startTimeUnixNano: nanos(now - 3_600_000),
    asDouble,
    attributes: attributesOf(attributes),
    exemplars: asDouble > 400 ? [{ timeUnixNano: nanos(at), asDouble, traceId: failed, spanId: id() }] : [],
  });
  const metrics = [
    {
      name: "shop.orders",
      unit: "{order}",
      description: "Orders taken",
      sum: {
        aggregationTemporality: 2,
        isMonotonic: true,
        dataPoints: minutes.flatMap((at, index) => [
          point(at, index * 6, { country: "de" }),
          point(at, index * 9 + Math.sin(index) * 4, { country: "fr" }),
        ]),
      },
    },
    {
      name: "shop.stock",
      unit: "{item}",
      gauge: { dataPoints: minutes.map((at, index) => point(at, 900 - index * 7, { warehouse: "north" })) },
    },
  ];
  const resource = { attributes: attributesOf({ "service.name": "orders" }) };
  await send("metrics", { resourceMetrics: [{ resource, scopeMetrics: [{ scope: { name: "test" }, metrics }] }] });
  return { failed, long };
}

/** One line more, as an app writes it now. */
export async function sendLine(platform: PlatformProcess, project: string, text: string): Promise<void> {
  const send = await sender(platform, project);
  await send("logs", {
    resourceLogs: [
      {
        resource: { attributes: attributesOf({ "service.name": "gateway" }) },
        scopeLogs: [{ scope: { name: "test" }, logRecords: [logRecord("", "", Date.now(), 9, text)] }],
      },
    ],
  });
}
