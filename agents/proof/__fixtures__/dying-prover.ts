// A prover that has a template, a clone with an open change list and a role, says so, and waits to be killed.
import { openChangeList } from "../change-list.ts";
import { ProofServer } from "../proof-server.ts";

const server = await ProofServer.open(process.argv[2]!, "dying");
const template = await server.createEmpty("template");
await server.freeze(template);
const clone = await server.clone(template, "base");
await openChangeList(await server.connect(clone), clone);
process.send!("ready");
setInterval(() => {}, 1_000);
