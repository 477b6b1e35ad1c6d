// ClickHouse in this process.
import { describe } from "vitest";
import { openEmbeddedEngine } from "./embedded-engine.ts";
import { engineContract } from "./engine.contract.ts";

describe("chDB", () =>
  engineContract(async (directory) => {
    const engine = await openEmbeddedEngine(directory);
    return { engine, close: () => engine.close() };
  }));
