// Drives a running shop: `node traffic/main.ts --url http://localhost:3000 [--seconds 20] [--rounds 1] [--concurrency 5] [--seed 7]`.
import { parseArgs } from "node:util";
import { driveTraffic } from "./traffic.ts";

const { values } = parseArgs({
  options: {
    url: { type: "string", default: "http://localhost:3000" },
    seconds: { type: "string", default: "20" },
    rounds: { type: "string", default: "1" },
    concurrency: { type: "string", default: "5" },
    seed: { type: "string", default: "7" },
  },
});
const result = await driveTraffic({
  url: values.url,
  seconds: Number(values.seconds),
  rounds: Number(values.rounds),
  concurrency: Number(values.concurrency),
  seed: Number(values.seed),
});
console.log(JSON.stringify(result));
