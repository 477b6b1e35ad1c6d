// A build that takes a while, with a helper process as compilers have them, which it leaves behind.
import { spawn } from "node:child_process";

console.log("compiling");
spawn(process.execPath, ["-e", "setTimeout(() => {}, 120_000)"], { stdio: "inherit" }).unref();
setTimeout(() => console.log("compiled"), 1200);
