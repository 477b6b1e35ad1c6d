// Starts the partners by themselves: `node partners/main.ts [--port 4010] [--seed 7]`; prints one JSON line with their address.
import { parseArgs } from "node:util";
import { startPartners } from "./partners.ts";

const { values } = parseArgs({
  options: { port: { type: "string", default: "0" }, seed: { type: "string", default: "7" } },
});
const partners = await startPartners({ port: Number(values.port), seed: Number(values.seed) });
console.log(JSON.stringify({ url: partners.url }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void partners.close());
