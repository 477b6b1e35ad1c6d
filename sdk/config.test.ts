// The app's configuration: known keys pass, an unknown one names the nearest.
import { expect, test } from "vitest";
import { defineConfig, parseConfig } from "./config.ts";

test("known keys come back as they are", () => {
  const config = { name: "shop", database: "postgres", replay: { exclude: ["/login"], normalise: ["at"] } } as const;
  expect(defineConfig({ ...config, replay: { exclude: ["/login"], normalise: ["at"] } })).toEqual(config);
  expect(parseConfig({})).toEqual({});
});

test.each([
  [{ databse: "postgres" }, "databse", 'did you mean "database"?'],
  [{ helth: "/" }, "helth", 'did you mean "health"?'],
  [{ replay: { normalize: [] } }, "replay.normalize", 'did you mean "replay.normalise"?'],
])("%j names the nearest known key", (value, path, fix) => {
  expect(() => parseConfig(value)).toThrow(expect.objectContaining({ code: "invalid_config", path }));
  expect(() => parseConfig(value)).toThrow(expect.objectContaining({ fix: expect.stringContaining(fix) }));
});

test("a wrong value names its place", () => {
  expect(() => parseConfig({ database: "mysql" })).toThrow(/"database" in the tsdev configuration/);
  expect(() => parseConfig({ health: "readyz" })).toThrow(/"health"/);
  expect(() => parseConfig("x")).toThrow(/the tsdev configuration/);
});
