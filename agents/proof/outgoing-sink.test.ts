// Outgoing sink: which recording answers a call, and which call has none.
import { afterEach, expect, test } from "vitest";
import type { OutgoingRecording } from "../../platform/telemetry/recording.ts";
import { bodyDigest } from "../../sdk/tracing/recording.ts";
import { finalAnswers, type OutgoingSink, startOutgoingSink } from "./outgoing-sink.ts";

const json = "application/json";
let time = 0;
function recorded(traceId: string, url: string, body: string, status: number | null, answer = ""): OutgoingRecording {
  time += 10;
  return {
    kind: "outgoing",
    traceId,
    spanId: "0".repeat(16),
    time,
    durationMs: 5,
    method: "PUT",
    url,
    bodyDigest: bodyDigest(json, body),
    number: 1,
    status,
    headers: { "content-type": "text/plain" },
    // What the recorder keeps of a call that broke: a body that never ended.
    body: { text: answer, base64: false, truncated: status === null },
    error: status === null ? "ECONNRESET" : null,
  };
}

let sink: OutgoingSink;
afterEach(() => sink.close());
const open = async (recordings: OutgoingRecording[], retries = false) => {
  sink = await startOutgoingSink({ recordings, retries, longestMs: 5 });
};
const call = async (url: string, body: string) => {
  const response = await fetch(`${sink.url}/x`, {
    method: "PUT",
    headers: { "content-type": json, "x-tsdev-original-url": url },
    body,
  });
  return { status: response.status, text: await response.text(), error: response.headers.get("x-tsdev-error") };
};

test("a call is answered by URL and body, whatever the order of calls, queries and keys", async () => {
  await open([
    recorded("t", "http://p/a?x=1&y=2", '{"a":1,"b":2}', 200, "one"),
    recorded("t", "http://p/a?x=1&y=2", '{"a":2}', 200, "two"),
  ]);
  sink.begin({ traceId: "t" });
  expect(await call("http://p/a?y=2&x=1", '{"a":2}')).toMatchObject({ text: "two" });
  expect(await call("http://p/a?y=2&x=1", '{"b":2,"a":1}')).toMatchObject({ text: "one" });
  expect(sink.end()).toMatchObject({ unused: 0, calls: [{ rule: "exact" }, { rule: "exact" }] });
});

test("a call to another URL, and one too many, have no recording", async () => {
  await open([recorded("t", "http://p/a", "{}", 200)]);
  sink.begin({ traceId: "t" });
  expect((await call("http://p/b", "{}")).status).toBe(599);
  expect((await call("http://p/a", "{}")).status).toBe(200);
  expect((await call("http://p/a", "{}")).status).toBe(599);
  expect(sink.end().calls.map((each) => each.rule)).toEqual(["unmatched", "exact", "unmatched"]);
});

test("recordings of another request do not answer, and unused ones are counted", async () => {
  await open([recorded("t", "http://p/a", "{}", 200), recorded("u", "http://p/b", "{}", 200)]);
  sink.begin({ traceId: "t" });
  expect((await call("http://p/b", "{}")).status).toBe(599);
  expect(sink.end().unused).toBe(1);
});

test("an id that is another now is matched by the shape of the URL", async () => {
  await open([recorded("t", "http://p/shipments/7", '{"id":7}', 200, "ok")]);
  sink.begin({ traceId: "t" });
  expect(await call("http://p/shipments/9", '{"id":9}')).toMatchObject({ status: 200, text: "ok" });
  expect(sink.end().calls[0]!.rule).toBe("shape");
});

test("a retry gets what a later request recorded for the same call, and the base version the answer it ended with", async () => {
  await open(
    [
      recorded("t", "http://p/a/1", "{}", null),
      recorded("u", "http://p/a/1", "{}", 503),
      recorded("v", "http://p/a/1", "{}", 200, "ok"),
    ],
    true,
  );
  sink.begin({ traceId: "t" });
  expect(await call("http://p/a/1", "{}")).toMatchObject({ error: "ECONNRESET" });
  expect((await call("http://p/a/1", "{}")).status).toBe(503);
  expect(await call("http://p/a/1", "{}")).toMatchObject({ status: 200, text: "ok" });
  const { calls } = sink.end();
  sink.begin({ traceId: "t", reference: finalAnswers(calls) });
  expect(await call("http://p/a/1", "{}")).toMatchObject({ status: 200, text: "ok" });
});

test("a failure that nobody saw healed stays a failure", async () => {
  await open([recorded("t", "http://p/a/1", "{}", 503)], true);
  sink.begin({ traceId: "t" });
  await call("http://p/a/1", "{}");
  expect((await call("http://p/a/1", "{}")).status).toBe(503);
  expect(sink.end().calls[1]!.rule).toBe("repeated");
});
