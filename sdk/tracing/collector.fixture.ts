// Fixture: a collector that takes OTLP and recordings over HTTP, as the platform does, and can be away.
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";
import protobuf from "protobufjs";
import type { Recording } from "./recording.ts";

// The fields of opentelemetry-proto 1.x that the tests look at.
const { root } = protobuf.parse(
  `syntax = "proto3";
   message Request { repeated ResourceSpans resource_spans = 1; }
   message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; }
   message Resource { repeated KeyValue attributes = 1; }
   message ScopeSpans { Scope scope = 1; repeated Span spans = 2; }
   message Scope { string name = 1; }
   message Span {
     bytes trace_id = 1; bytes span_id = 2; bytes parent_span_id = 4; string name = 5; int32 kind = 6;
     fixed64 start_time_unix_nano = 7; fixed64 end_time_unix_nano = 8; repeated KeyValue attributes = 9; Status status = 15;
   }
   message Status { string message = 2; int32 code = 3; }
   message KeyValue { string key = 1; AnyValue value = 2; }
   message AnyValue { oneof value { string string_value = 1; bool bool_value = 2; int64 int_value = 3; double double_value = 4; } }`,
);
const requestType = root.lookupType("Request");

export interface CollectedSpan {
  traceId: string;
  spanId: string;
  parentSpanId: string;
  name: string;
  /** 1 internal, 2 server, 3 client. */
  kind: number;
  startMs: number;
  /** 2 error. */
  status: number;
  attributes: Record<string, string | number | boolean>;
  resource: Record<string, string | number | boolean>;
  scope: string;
}

export interface CollectorFixture {
  readonly url: string;
  readonly spans: CollectedSpan[];
  readonly recordings: Recording[];
  /** Headers of the last request. */
  headers: Record<string, string | string[] | undefined>;
  /** Requests that came, also those it refused. */
  requests: number;
  /** What it answers; 200 takes the telemetry. */
  status: number;
  /** Ends the server, so that connections are refused. */
  leave(): Promise<void>;
  comeBack(): Promise<void>;
  /** Waits until `ready` holds. */
  until<T>(what: string, ready: (collector: CollectorFixture) => T | undefined | false): Promise<T>;
}

export async function startCollector(): Promise<CollectorFixture> {
  let server: Server;
  let port = 0;
  const listen = async () => {
    server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk) => chunks.push(chunk));
      request.on("end", () => {
        collector.requests += 1;
        collector.headers = request.headers;
        const body = Buffer.concat(chunks);
        const plain = request.headers["content-encoding"] === "gzip" ? gunzipSync(body) : body;
        if (collector.status === 200) take(request.url ?? "", plain);
        response.writeHead(collector.status).end();
      });
    });
    await new Promise<void>((done) => server.listen(port, "127.0.0.1", done));
    port = (server.address() as AddressInfo).port;
  };
  const take = (path: string, body: Buffer) => {
    if (path === "/v1/recordings") collector.recordings.push(...JSON.parse(body.toString()).recordings);
    else if (path === "/v1/traces") collector.spans.push(...spansOf(body));
  };
  await listen();
  const collector: CollectorFixture = {
    url: `http://127.0.0.1:${port}`,
    spans: [],
    recordings: [],
    headers: {},
    requests: 0,
    status: 200,
    leave: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
    comeBack: listen,
    async until(what, ready) {
      const end = performance.now() + 20_000;
      for (;;) {
        const found = ready(collector);
        if (found !== undefined && found !== false) return found;
        if (performance.now() > end) {
          throw new Error(`${what} did not come; spans: ${JSON.stringify(collector.spans.map((span) => span.name))}`);
        }
        await new Promise((done) => setTimeout(done, 20));
      }
    },
  };
  return collector;
}

interface AnyValue {
  stringValue?: string;
  boolValue?: boolean;
  intValue?: number;
  doubleValue?: number;
}
interface KeyValue {
  key: string;
  value?: AnyValue;
}
interface RawSpan {
  traceId: Buffer;
  spanId: Buffer;
  parentSpanId?: Buffer;
  name: string;
  kind: number;
  startTimeUnixNano: number;
  attributes?: KeyValue[];
  status?: { code?: number };
}
interface RawRequest {
  resourceSpans: {
    resource: { attributes: KeyValue[] };
    scopeSpans: { scope: { name: string }; spans: RawSpan[] }[];
  }[];
}

function spansOf(body: Buffer): CollectedSpan[] {
  const decoded = requestType.toObject(requestType.decode(body), { longs: Number, bytes: Buffer }) as RawRequest;
  return decoded.resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ scope, spans }) =>
      spans.map((span) => ({
        traceId: span.traceId.toString("hex"),
        spanId: span.spanId.toString("hex"),
        parentSpanId: span.parentSpanId?.toString("hex") ?? "",
        name: span.name,
        kind: span.kind,
        startMs: span.startTimeUnixNano / 1e6,
        status: span.status?.code ?? 0,
        attributes: plain(span.attributes),
        resource: plain(resource.attributes),
        scope: scope.name,
      })),
    ),
  );
}

function plain(attributes: KeyValue[] = []): Record<string, string | number | boolean> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [
      key,
      value?.stringValue ?? value?.intValue ?? value?.doubleValue ?? value?.boolValue ?? "",
    ]),
  );
}
