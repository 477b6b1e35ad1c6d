// Payloads of the ingest benchmark: requests of 520 spans with ten attributes each, never twice the same.
import { randomBytes } from "node:crypto";
import { SpanKind } from "@opentelemetry/api";
import { JsonTraceSerializer, ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import { makeSpans } from "../../platform/telemetry/telemetry-fixture.ts";

export type Kind = "protobuf" | "json";

const attributes = (i: number) => ({
  "http.request.method": "GET",
  "http.route": "/orders/:id",
  "url.path": `/orders/${i}`,
  "url.scheme": "http",
  "server.address": "shop.example.com",
  "server.port": 8080,
  "http.response.status_code": 200,
  "user_agent.original": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
  "client.address": `10.0.0.${i % 250}`,
  "network.protocol.version": "1.1",
});

const resource = {
  "service.version": "1.2.3",
  "host.name": "host-1",
  "os.type": "linux",
  "process.pid": 7,
  "telemetry.sdk.name": "opentelemetry",
  "telemetry.sdk.language": "nodejs",
  "telemetry.sdk.version": "2.1.0",
  "deployment.environment.name": "production",
};

export const spansOfRequest = 520;

export class Payloads {
  readonly #bodies: Record<Kind, Buffer>;
  /** Where each trace id stands in the body. */
  readonly #places: Record<Kind, number[][]>;

  constructor() {
    const spans = makeSpans(
      Array.from({ length: 40 }, (_, trace) => ({
        name: "GET /orders/:id",
        kind: SpanKind.SERVER,
        attributes: attributes(trace),
        children: Array.from({ length: 12 }, (_, i) => ({
          name: `SELECT orders ${i % 4}`,
          kind: SpanKind.CLIENT,
          attributes: attributes(i),
        })),
      })),
      resource,
    );
    const ids = [...new Set(spans.map((span) => span.spanContext().traceId))];
    this.#bodies = {
      protobuf: Buffer.from(ProtobufTraceSerializer.serializeRequest(spans)!),
      json: Buffer.from(JsonTraceSerializer.serializeRequest(spans)!),
    };
    this.#places = {
      protobuf: ids.map((id) => allOf(this.#bodies.protobuf, Buffer.from(id, "hex"))),
      json: ids.map((id) => allOf(this.#bodies.json, Buffer.from(id))),
    };
  }

  bytesOfSpan(kind: Kind): number {
    return this.#bodies[kind].length / spansOfRequest;
  }

  /** A body with traces of its own. */
  fresh(kind: Kind): Buffer {
    const body = Buffer.from(this.#bodies[kind]);
    for (const places of this.#places[kind]) {
      const id = randomBytes(16);
      const bytes = kind === "json" ? Buffer.from(id.toString("hex")) : id;
      for (const place of places) bytes.copy(body, place);
    }
    return body;
  }
}

function allOf(body: Buffer, bytes: Buffer): number[] {
  const places: number[] = [];
  for (let at = body.indexOf(bytes); at >= 0; at = body.indexOf(bytes, at + 1)) places.push(at);
  return places;
}
