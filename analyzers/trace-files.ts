// Trace files: runs the detectors over OTLP/JSON files, with no platform running and nothing kept.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { openTelemetryStore } from "../platform/telemetry/clickhouse.ts";
import { Ingest, MalformedBody } from "../platform/telemetry/ingest/ingest.ts";
import { anyTime } from "../platform/telemetry/ingest/tables.ts";
import { TsdevError } from "../sdk/errors.ts";
import { type Analysis, analyze } from "./index.ts";

/** Everything a file holds is one tenant's. */
const tenant = { organizationId: "files", project: "files", environment: "files" };
const gzipMagic = 0x1f8b;
/** A year that no trace is from. */
const endOfTime = new Date("2200-01-01T00:00:00Z");

export interface FileAnalysis extends Analysis {
  spans: number;
  traces: number;
}

/** One `ExportTraceServiceRequest` a line, or one for the whole file; gzip is told by its first bytes. */
function requestsOf(content: Buffer): Buffer[] {
  const plain = content.length > 2 && content.readUInt16BE(0) === gzipMagic ? gunzipSync(content) : content;
  const text = plain.toString("utf8").trim();
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const oneALine = lines.length > 1 && lines.every((line) => line.trim().startsWith("{") && line.trim().endsWith("}"));
  return (oneALine ? lines : [text]).map((line) => Buffer.from(line));
}

/** A body over HTTP may be empty; a file that holds no spans is most likely another file than was meant. */
function isTraceRequest(request: Buffer): boolean {
  try {
    const json: unknown = JSON.parse(request.toString("utf8"));
    return typeof json === "object" && json !== null && "resourceSpans" in json && Array.isArray(json.resourceSpans);
  } catch {
    return false;
  }
}

/** Reads the files into a throw-away store and analyzes them. Throws `not_found` and `invalid_input` naming file and line. */
export async function analyzeFiles(paths: readonly string[]): Promise<FileAnalysis> {
  const directory = await mkdtemp(join(tmpdir(), "tsdev-analyze-"));
  const store = await openTelemetryStore({ directory }, { keepExpired: true });
  try {
    const ingest = new Ingest(store, () => anyTime);
    for (const path of paths) {
      const content = await readFile(path).catch((cause: unknown) => {
        throw new TsdevError("not_found", {
          message: `cannot read ${path}`,
          fix: "give the path of an OTLP/JSON file",
          path,
          cause,
        });
      });
      for (const [index, request] of requestsOf(content).entries()) {
        const stored = isTraceRequest(request)
          ? ingest.traces(request, "json", tenant)
          : Promise.reject(new MalformedBody("it has no resourceSpans"));
        await stored.catch((cause: unknown) => {
          if (!(cause instanceof MalformedBody)) throw cause;
          throw new TsdevError("invalid_input", {
            message: `${path}, request ${index + 1}: ${cause.message}`,
            fix: "each line, or the whole file, must be one OTLP ExportTraceServiceRequest in JSON",
            path,
            cause,
          });
        });
      }
    }
    const scope = { ...tenant, since: new Date(0), until: endOfTime };
    const analysis = await analyze(store.reader, scope);
    const [counted] = await store.reader.query<{ spans: number; traces: number }>(
      "SELECT count() AS spans, uniqExact(TraceId) AS traces FROM otel_traces",
    );
    return { spans: Number(counted?.spans ?? 0), traces: Number(counted?.traces ?? 0), ...analysis };
  } finally {
    await store.close();
    await rm(directory, { recursive: true, force: true });
  }
}
