// Starts the partners by themselves: `node partners/main.ts [--port 4020]`; prints one JSON line with their address.
import { parseArgs } from "node:util";
import { startPartners } from "./partners.ts";

const { values } = parseArgs({ options: { port: { type: "string", default: "0" } } });
const partners = await startPartners({ port: Number(values.port) });
console.log(JSON.stringify({ url: partners.url }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void partners.close());
