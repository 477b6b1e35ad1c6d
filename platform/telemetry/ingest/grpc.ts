// OTLP over gRPC: the Export calls of traces, logs and metrics, whose messages are decoded as those of HTTP are.
import {
  logVerbosity,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
  setLogVerbosity,
} from "@grpc/grpc-js";
import { TsdevError } from "../../../sdk/errors.ts";
import { GrpcAdmission, statusOf } from "./grpc-admission.ts";
import type { Ingest, IngestResult } from "./ingest.ts";
import { encodeFields } from "./protobuf.ts";
import { bodyLimit } from "./request-body.ts";
import type { Tenant } from "./tables.ts";

export interface TelemetryGrpcOptions {
  ingest: Ingest;
  /** Whose data a call brings, by its metadata's `authorization`; null refuses it. */
  authenticate(authorization: string | undefined): Promise<Tenant | null>;
  /** 0 takes any free one. */
  port: number;
  /** Takes the next free port where this one is in use. */
  orNextFree?: boolean;
  /** Longest time for the bytes of a message, in milliseconds; default 30,000. */
  receivingMs?: number;
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
/** Calls of one connection at once. */
const mostCalls = 64;

// A port in use is answered by the next one; the library would print it as an error.
setLogVerbosity(logVerbosity.NONE);

type Take = (body: Buffer, tenant: Tenant) => Promise<IngestResult>;

/** Listens on a loopback port. Throws `port_taken` where it is in use and no other may be taken. */
export async function listenGrpc(options: TelemetryGrpcOptions): Promise<TelemetryGrpc> {
  const { ingest } = options;
  const admission = new GrpcAdmission(options.authenticate, options);
  const server = new Server({
    interceptors: [admission.interceptor],
    // Holds after decompression too.
    "grpc.max_receive_message_length": bodyLimit,
    "grpc.max_concurrent_streams": mostCalls,
  });
  const serve = (signal: "trace" | "logs" | "metrics", service: string, take: Take) => {
    const definition = exportService(`/opentelemetry.proto.collector.${signal}.v1.${service}/Export`);
    server.addService(definition, { Export: exporting(take, admission) });
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

function exporting(take: Take, admission: GrpcAdmission) {
  return async (call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>): Promise<void> => {
    try {
      const { rejected, reason } = await take(call.request, admission.tenantOf(call.metadata));
      const partial: Array<[number, number | string]> = [
        [1, rejected],
        [2, reason],
      ];
      answer(null, rejected > 0 || reason !== "" ? encodeFields([[1, encodeFields(partial)]]) : Buffer.alloc(0));
    } catch (error) {
      answer(statusOf(error));
    }
  };
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
