// Sink of the tracing benchmark: takes OTLP and counts the spans.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";

let spans = 0;

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    const body = Buffer.concat(chunks);
    if (request.url === "/v1/traces")
      spans += spansIn(request.headers["content-encoding"] === "gzip" ? gunzipSync(body) : body);
    response.writeHead(200, { "content-type": "application/x-protobuf" }).end();
  });
}).listen(0, "127.0.0.1", () => process.send?.({ port: (server.address() as AddressInfo).port }));
process.on("message", () => process.send?.({ spans }));
process.on("disconnect", () => process.exit());

/** ExportTraceServiceRequest.resource_spans (1) > scope_spans (2) > spans (2): three levels of nested messages. */
function spansIn(body: Uint8Array): number {
  let count = 0;
  for (const resource of fields(body, 1))
    for (const scope of fields(resource, 2)) for (const _ of fields(scope, 2)) count += 1;
  return count;
}

function* fields(message: Uint8Array, wanted: number): Generator<Uint8Array> {
  let at = 0;
  const varint = () => {
    let [value, shift] = [0, 0];
    for (;;) {
      const byte = message[at++] ?? 0;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
      shift += 7;
    }
  };
  while (at < message.length) {
    const tag = varint();
    // All fields on the way are length-delimited (wire type 2).
    const length = varint();
    if (tag >>> 3 === wanted) yield message.subarray(at, at + length);
    at += length;
  }
}
