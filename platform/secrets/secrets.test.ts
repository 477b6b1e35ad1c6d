// Secrets: what is sealed opens only where it belongs; what is known is replaced in every form it shows itself in.
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { MasterKey, openMasterKey } from "./master-key.ts";
import { Redactor } from "./redactor.ts";

const key = new MasterKey(Buffer.alloc(32, 1));

describe("a sealed value", () => {
  test("opens with what it was bound to, and is never sealed the same twice", () => {
    const sealed = key.seal("s3cret é", "env_1:KEY");
    expect(key.open(sealed, "env_1:KEY")).toBe("s3cret é");
    expect(key.seal("s3cret é", "env_1:KEY").equals(sealed)).toBe(false);
  });

  test("does not open elsewhere, altered, cut short or with another key", () => {
    const sealed = key.seal("s3cret", "env_1:KEY");
    expect(() => key.open(sealed, "env_2:KEY")).toThrow("cannot be opened");
    const altered = Buffer.from(sealed);
    altered[altered.length - 1]! ^= 1;
    for (const wrong of [altered, sealed.subarray(0, 20), sealed.subarray(0, 5), Buffer.alloc(0)])
      expect(() => key.open(wrong, "env_1:KEY")).toThrow("cannot be opened");
    expect(() => new MasterKey(Buffer.alloc(32, 2)).open(sealed, "env_1:KEY")).toThrow("cannot be opened");
  });
});

test("two starts at once end with one key, kept for its user alone; a broken file is told", async () => {
  const directory = await mkdtemp(join(tmpdir(), "tsdev-key-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const keys = await Promise.all(Array.from({ length: 5 }, () => openMasterKey(directory)));
  expect(new Set(keys.map((one) => one.derive("x").toString("hex"))).size).toBe(1);
  expect((await stat(join(directory, "master.key"))).mode & 0o777).toBe(0o600);
  await writeFile(join(directory, "master.key"), "");
  await expect(openMasterKey(directory)).rejects.toMatchObject({ code: "invalid_config" });
});

describe("a known secret is replaced", () => {
  const redactorOf = (...values: string[]) => {
    const redactor = new Redactor();
    redactor.learn(values);
    return redactor;
  };

  test("as it is, in JSON, in a URL, and line by line", () => {
    const redactor = redactorOf(
      'pa"ss/word 1',
      "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0\nBAQEFAASCBKcwggSjAgEAAo\n-----END KEY-----",
    );
    expect(redactor.redact('is pa"ss/word 1.')).toBe("is [redacted].");
    expect(redactor.redact(JSON.stringify({ a: 'pa"ss/word 1' }))).toBe('{"a":"[redacted]"}');
    expect(redactor.redact("?p=pa%22ss%2Fword%201&x")).toBe("?p=[redacted]&x");
    expect(redactor.redact("  MIIEvQIBADANBgkqhkiG9w0")).toBe("  [redacted]");
  });

  test("the longest first, and its characters are no pattern", () => {
    expect(redactorOf("secret", "secret-longer").redact("a secret-longer b")).toBe("a [redacted] b");
    expect(redactorOf("a.b*c(d").redact("axbbc(d a.b*c(d")).toBe("axbbc(d [redacted]");
  });

  test("also after it was replaced by another: an instance may still print it", () => {
    const redactor = redactorOf("old-secret");
    redactor.learn(["new-secret"]);
    expect(redactor.redact("old-secret new-secret")).toBe("[redacted] [redacted]");
  });

  test("but no words that only configure, and nothing too short to tell apart", () => {
    const redactor = redactorOf("production", "debug", "12345", "");
    expect(redactor.redact("production debug 12345")).toBe("production debug 12345");
  });

  test("in values of any depth, and nothing else of them changes", () => {
    const value = { a: ["x secret", 1, null, true, { b: "secret" }], at: new Date(0) };
    expect(redactorOf("secret").redactDeep(value)).toEqual({
      a: ["x [redacted]", 1, null, true, { b: "[redacted]" }],
      at: new Date(0),
    });
  });
});
