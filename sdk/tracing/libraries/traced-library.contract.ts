// Contract of a traced library: each of its calls is one span, below the right request and at the right line of the app.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AppFolder, appFolder, type RunningApp, startApp } from "../app.fixture.ts";
import { type CollectedSpan, type CollectorFixture, startCollector } from "../collector.fixture.ts";

/** What the table of customers holds, by id from 1. */
export const customerNames = ["Ada", "Bob", "Cy"] as const;

/** One more path of a program, with the marks of the lines that its calls stand on. */
export interface OtherPath {
  path: string;
  result: unknown;
  /** Of each call that `statement` fits, in their order; a call's own frame comes first. */
  marks: string[];
  statement?: RegExp;
}

export interface TracedLibrary {
  library: string;
  /** In `__fixtures__/libraries`. */
  program: string;
  /** Further files that the program needs, and what is done in its folder before it starts. */
  files?: string[];
  prepare?: (folder: string) => Promise<void>;
  env: () => Record<string, string>;
  /** Fits the text of the calls that the loop makes, and of no other. */
  statement: RegExp;
  /** Of the loop's spans. */
  attributes: Record<string, unknown>;
  /** What the failing call's span says, and what the app sees of it. */
  failure: { statement: RegExp; errorType: string; message: RegExp };
  others?: OtherPath[];
}

const isCall = (span: CollectedSpan) => "db.query.text" in span.attributes;
const framesOf = (span: CollectedSpan): string[] => JSON.parse(String(span.attributes["tsdev.code.frames"] ?? "[]"));
const ours = "00f067aa0ba902b7";

/** Registers the tests of each library; all of them share the servers, and each has one process. */
export function tracedLibraryContract(libraries: TracedLibrary[]): void {
  describe.each(libraries)("$library", (one) => {
    let collector: CollectorFixture;
    let folder: AppFolder;
    let app: RunningApp;
    let traces = 0;

    beforeAll(async () => {
      collector = await startCollector();
      folder = appFolder();
      for (const file of ["serve.ts", ...(one.files ?? []), one.program]) folder.add(`libraries/${file}`, file);
      await one.prepare?.(folder.path);
      app = await startApp({
        file: `${folder.path}/${one.program}`,
        cwd: folder.path,
        env: {
          ...one.env(),
          TSDEV_CALL_SITES: "always",
          TSDEV_RECORD: "off",
          OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
        },
      });
    });

    afterAll(async () => {
      await app?.stop();
      await collector?.leave();
      folder?.remove();
    });

    /** Asks for a path in a trace of its own; answers its spans once the server's is there. */
    async function ask(path: string): Promise<{ body: unknown; server: CollectedSpan; calls: CollectedSpan[] }> {
      traces += 1;
      const traceId = traces.toString(16).padStart(32, "5");
      const answer = await app.get(`/${path}`, { headers: { traceparent: `00-${traceId}-${ours}-01` } });
      const body = await answer.json();
      // A span is sent when it ended, and the server's ends last.
      const server = await collector.until(`the span of /${path}`, ({ spans }) =>
        spans.find((span) => span.traceId === traceId && span.kind === 2),
      );
      const calls = collector.spans.filter((span) => span.traceId === traceId && isCall(span));
      return { body, server, calls: calls.sort((left, right) => left.startMs - right.startMs) };
    }

    const fits = (calls: CollectedSpan[], statement = one.statement) =>
      calls.filter((span) => statement.test(String(span.attributes["db.query.text"])));
    const lineOf = (mark: string) => `${one.program}:${folder.line(one.program, mark)}`;
    // A callback's own frame and that of the function around it may be one line.
    const linesOf = (span: CollectedSpan) =>
      framesOf(span)
        .map((frame) => frame.replace(/:[^:]*$/, ""))
        .filter((line, index, lines) => line !== lines[index - 1]);

    test("has one span for each call of a loop, with the call's line first and the loop's line next", async () => {
      const { body, server, calls } = await ask("loop");
      expect(body).toEqual({ result: customerNames });
      const spans = fits(calls);
      expect(spans).toHaveLength(3);
      for (const span of spans) {
        expect(span).toMatchObject({ kind: 3, status: 0, parentSpanId: server.spanId });
        expect(span.attributes).toMatchObject(one.attributes);
        expect(linesOf(span).slice(0, 2)).toEqual([lineOf("query"), lineOf("loop")]);
      }
    });

    test("keeps five requests apart that wait for one connection", async () => {
      const all = await Promise.all(Array.from({ length: 5 }, () => ask("loop")));
      for (const { body, server, calls } of all) {
        expect(body).toEqual({ result: customerNames });
        const spans = fits(calls);
        expect(spans).toHaveLength(3);
        for (const span of spans) {
          expect(span.parentSpanId).toBe(server.spanId);
          expect(linesOf(span).slice(0, 2)).toEqual([lineOf("query"), lineOf("loop")]);
        }
      }
    });

    test("says what failed, and leaves the error to the app as it is", async () => {
      const { body, calls } = await ask("fail");
      const { statement, errorType, message } = one.failure;
      expect((body as { message: string }).message).toMatch(message);
      const spans = fits(calls, statement);
      expect(spans).toHaveLength(1);
      expect(spans[0]).toMatchObject({ status: 2 });
      expect(spans[0]?.attributes).toMatchObject({ "error.type": errorType });
    });

    if (one.others) {
      test.each(one.others)("names the lines of /$path", async ({ path, result, marks, statement }) => {
        const { body, server, calls } = await ask(path);
        expect(body).toEqual({ result });
        const spans = fits(calls, statement);
        expect(spans.map((span) => linesOf(span)[0])).toEqual(marks.map(lineOf));
        for (const span of spans) expect(span.parentSpanId).toBe(server.spanId);
      });
    }

    test("sends no span below one that was not sent", () => {
      const sent = new Set(["", ours, ...collector.spans.map((span) => span.spanId)]);
      expect(collector.spans.filter((span) => !sent.has(span.parentSpanId)).map((span) => span.name)).toEqual([]);
      expect(app.output()).not.toContain("is not traced");
    });
  });
}
