// A build that says where it is and goes on when the file named in `gate` is there; without a gate it ends at once.
import { existsSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

const gate = readFileSync("gate", "utf8").trim();
console.log(`waiting for ${gate ? "the gate" : "nothing"}`);
while (gate && !existsSync(gate)) await delay(50);
console.log("the gate is open");
