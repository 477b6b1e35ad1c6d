// ClickHouse over HTTP; a bridge over chDB stands in for the server, or the server of TSDEV_TEST_CLICKHOUSE_URL.
import { describe } from "vitest";
import { startClickHouseBridge } from "./__fixtures__/clickhouse-http-bridge.ts";
import { engineContract } from "./engine.contract.ts";
import { openServerEngine } from "./server-engine.ts";

describe("a server", () =>
  engineContract(async (directory) => {
    const given = process.env.TSDEV_TEST_CLICKHOUSE_URL;
    const bridge = given ? undefined : await startClickHouseBridge(directory);
    const engine = await openServerEngine(given ?? bridge!.url);
    return {
      engine,
      async close() {
        await engine.close();
        await bridge?.[Symbol.asyncDispose]();
      },
    };
  }));
