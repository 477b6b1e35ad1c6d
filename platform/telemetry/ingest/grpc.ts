// OTLP over gRPC: the Export calls of traces, logs and metrics, whose messages are decoded as those of HTTP are.
import {
  logVerbosity,
  Metadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
  setLogVerbosity,
} from "@grpc/grpc-js";
import { TsdevError } from "../../../sdk/errors.ts";
import { refusal } from "./answer.ts";
import type { Ingest, IngestResult } from "./ingest.ts";
import { encodeFields } from "./protobuf.ts";
import { BodyRefused, bodyLimit } from "./request-body.ts";
import type { Tenant } from "./tables.ts";

export interface TelemetryGrpcOptions {
  ingest: Ingest;
  /** Whose data a call brings, by its metadata's `authorization`; null refuses it. */
  authenticate(authorization: string | undefined): Promise<Tenant | null>;
  /** 0 takes any free one. */
  port: number;
  /** Takes the next free port where this one is in use. */
  orNextFree?: boolean;
}

export interface TelemetryGrpc {
  port: number;
  url: string;
  /** Takes no more calls, and resolves when those that run are answered. */
  close(): Promise<void>;
}

const mostTries = 50;
/** Longest wait for running calls at the end, in milliseconds. */
const closeMs = 5_000;
/** Messages whose bytes may be on their way in one connection. */
const mostCalls = 64;

// A port in use is answered by the next one; the library would print it as an error.
setLogVerbosity(logVerbosity.NONE);

type Take = (body: Buffer, tenant: Tenant) => Promise<IngestResult>;

/** Listens on a loopback port. Throws `port_taken` where it is in use and no other may be taken. */
export async function listenGrpc(options: TelemetryGrpcOptions): Promise<TelemetryGrpc> {
  const { ingest } = options;
  const server = new Server({
    // Holds after decompression too.
    "grpc.max_receive_message_length": bodyLimit,
    "grpc.max_concurrent_streams": mostCalls,
  });
  const serve = (signal: "trace" | "logs" | "metrics", service: string, take: Take) => {
    const definition = exportService(`/opentelemetry.proto.collector.${signal}.v1.${service}/Export`);
    server.addService(definition, { Export: exporting(take, options.authenticate) });
  };
  serve("trace", "TraceService", (body, tenant) => ingest.traces(body, "protobuf", tenant));
  serve("logs", "LogsService", (body, tenant) => ingest.logs(body, "protobuf", tenant));
  serve("metrics", "MetricsService", (body, tenant) => ingest.metrics(body, "protobuf", tenant));
  const port = await bind(server, options);
  return { port, url: `http://127.0.0.1:${port}`, close: () => close(server) };
}

/** Messages stay bytes: the one-pass reader takes them as they are. */
function exportService(path: string): ServiceDefinition {
  const same = (bytes: Buffer) => bytes;
  return {
    Export: {
      path,
      requestStream: false,
      responseStream: false,
      requestSerialize: same,
      requestDeserialize: same,
      responseSerialize: same,
      responseDeserialize: same,
    },
  };
}

function exporting(take: Take, authenticate: TelemetryGrpcOptions["authenticate"]) {
  return async (call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>): Promise<void> => {
    try {
      const [authorization] = call.metadata.get("authorization");
      const tenant = await authenticate(authorization?.toString());
      if (tenant === null) throw new BodyRefused(401, "the metadata authorization has no token that is known");
      const { rejected, reason } = await take(call.request, tenant);
      const partial: Array<[number, number | string]> = [
        [1, rejected],
        [2, reason],
      ];
      answer(null, rejected > 0 || reason !== "" ? encodeFields([[1, encodeFields(partial)]]) : Buffer.alloc(0));
    } catch (error) {
      const { code, message, retryAfterS } = refusal(error);
      const metadata = new Metadata();
      if (retryAfterS !== undefined) metadata.set("grpc-status-details-bin", retryDetails(code, message, retryAfterS));
      answer({ code, details: message, metadata });
    }
  };
}

/** google.rpc.Status with a RetryInfo: without one a sender must not repeat what was RESOURCE_EXHAUSTED. */
function retryDetails(code: number, message: string, seconds: number): Buffer {
  const retryInfo = encodeFields([[1, encodeFields([[1, seconds]])]]);
  const any = encodeFields([
    [1, "type.googleapis.com/google.rpc.RetryInfo"],
    [2, retryInfo],
  ]);
  return encodeFields([
    [1, code],
    [2, message],
    [3, any],
  ]);
}

async function bind(server: Server, { port, orNextFree }: TelemetryGrpcOptions): Promise<number> {
  for (let tries = 0; ; tries++) {
    const wanted = port === 0 ? 0 : port + tries;
    try {
      return await new Promise<number>((resolve, reject) =>
        server.bindAsync(`127.0.0.1:${wanted}`, ServerCredentials.createInsecure(), (error, bound) =>
          error === null ? resolve(bound) : reject(error),
        ),
      );
    } catch (cause) {
      if (orNextFree === true && tries < mostTries) continue;
      throw new TsdevError("port_taken", {
        message: `port ${wanted} cannot be listened on`,
        fix: "stop what uses it, or take port 0 for a free one",
        cause,
      });
    }
  }
}

function close(server: Server): Promise<void> {
  return new Promise((done) => {
    const force = setTimeout(() => server.forceShutdown(), closeMs);
    server.tryShutdown(() => {
      clearTimeout(force);
      done();
    });
  });
}
