// The key of an outgoing call: equal for equal calls, also when one is what was recorded of the other.
import { expect, test } from "vitest";
import { bodyDigest, bodyLimit, canonicalUrl, recordedBody } from "./recording.ts";

const json = "application/json; charset=utf-8";

test("the order of keys and of query parameters does not count, that of lists does", () => {
  expect(bodyDigest(json, '{"a":1,"b":{"d":[1,2],"c":2}}')).toBe(
    bodyDigest(json, '{ "b": {"c":2,"d":[1,2]}, "a": 1 }'),
  );
  expect(bodyDigest(json, "[1,2]")).not.toBe(bodyDigest(json, "[2,1]"));
  expect(canonicalUrl("https://api.example/x?b=2&a=1")).toBe(canonicalUrl("https://api.example/x?a=1&b=2"));
});

test("the digest of a body and of what is recorded of it are the same", () => {
  const body = '{"to":"ada@example.com","card":"4242424242424242","token":"abc"}';
  const recorded = recordedBody(json, Buffer.from(body), false).text;
  expect(recorded).not.toContain("ada@");
  expect(bodyDigest(json, recorded)).toBe(bodyDigest(json, body));
});

test("form fields count in any order, and the boundary of a multipart body not at all", () => {
  const form = "application/x-www-form-urlencoded";
  expect(bodyDigest(form, "a=1&b=2")).toBe(bodyDigest(form, "b=2&a=1"));
  const multipart = (boundary: string) =>
    bodyDigest(`multipart/form-data; boundary=${boundary}`, `--${boundary}\r\n\r\nx\r\n--${boundary}--`);
  expect(multipart("one")).toBe(multipart("two"));
});

test("a body that is not UTF-8 is kept as base64", () => {
  const bytes = Buffer.from([0xff, 0x00, 0xfe]);
  expect(recordedBody(undefined, bytes, false)).toEqual({
    text: bytes.toString("base64"),
    base64: true,
    truncated: false,
  });
});

test("a long body is cut at a whole character and says so", () => {
  const body = recordedBody("text/plain", Buffer.from("ü".repeat(bodyLimit)), false);
  expect(body).toMatchObject({ base64: false, truncated: true });
  expect(Buffer.byteLength(body.text)).toBe(bodyLimit);
});

test("the same URL is canonical already", () => {
  const url = canonicalUrl("https://api.example/mails?token=abcdefgh&b=ada@example.com&b=bob@example.com");
  expect(canonicalUrl(url)).toBe(url);
});
