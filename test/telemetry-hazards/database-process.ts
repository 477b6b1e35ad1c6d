// A process in the place of a ClickHouse server, over the directory of argv[2] and on the port of argv[3]; prints its address.
import { startClickHouseBridge } from "../../platform/telemetry/__fixtures__/clickhouse-http-bridge.ts";

const bridge = await startClickHouseBridge(process.argv[2]!, Number(process.argv[3]));
console.log(JSON.stringify({ url: bridge.url }));
