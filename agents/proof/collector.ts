// Collector: receives one side's spans over OTLP/HTTP and counts them by trace.
import { createServer } from "node:http";
import { gunzipSync } from "node:zlib";
import protobuf from "protobufjs/minimal.js";

export interface Collector {
  /** For OTEL_EXPORTER_OTLP_ENDPOINT. */
  readonly url: string;
  spans(traceId: string): number;
  close(): Promise<void>;
}

export async function startCollector(): Promise<Collector> {
  const counts = new Map<string, number>();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("error", () => {});
    request.on("end", () => {
      const json = (request.headers["content-type"] ?? "").includes("json");
      try {
        const raw = Buffer.concat(chunks);
        const body = request.headers["content-encoding"] === "gzip" ? gunzipSync(raw) : raw;
        if (request.url?.endsWith("/v1/traces")) {
          for (const id of json ? idsOfJson(body) : idsOfProtobuf(body)) counts.set(id, (counts.get(id) ?? 0) + 1);
        }
        response.writeHead(200, { "content-type": json ? "application/json" : "application/x-protobuf" });
        response.end(json ? "{}" : undefined);
      } catch {
        response.writeHead(400).end();
      }
    });
  });
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((settle, fail) => {
    server.once("error", fail);
    server.listen(0, "127.0.0.1", settle);
  });
  const address = server.address();
  return {
    url: `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`,
    spans: (traceId) => counts.get(traceId) ?? 0,
    close: () =>
      new Promise((settle) => {
        server.closeAllConnections();
        server.close(() => settle());
      }),
  };
}

interface JsonExport {
  resourceSpans?: { scopeSpans?: { spans?: { traceId?: string }[] }[] }[];
}

function* idsOfJson(body: Buffer): Iterable<string> {
  for (const resource of (JSON.parse(body.toString("utf8")) as JsonExport).resourceSpans ?? []) {
    for (const scope of resource.scopeSpans ?? [])
      for (const span of scope.spans ?? []) yield (span.traceId ?? "").toLowerCase();
  }
}

/** ExportTraceServiceRequest.resource_spans = 1, ResourceSpans.scope_spans = 2, ScopeSpans.spans = 2, Span.trace_id = 1. */
const pathToId = [1, 2, 2, 1];

function* idsOfProtobuf(body: Uint8Array, depth = 0): Iterable<string> {
  const reader = protobuf.Reader.create(body);
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag !== ((pathToId[depth]! << 3) | 2)) {
      reader.skipType(tag & 7);
      continue;
    }
    const bytes = reader.bytes();
    if (depth === pathToId.length - 1) yield Buffer.from(bytes).toString("hex");
    else yield* idsOfProtobuf(bytes, depth + 1);
  }
}
