// A build that takes a while, with a child process as compilers have them.
import { spawn } from "node:child_process";

console.log("compiling");
spawn(process.execPath, ["-e", "setTimeout(() => {}, 1200)"], { stdio: "inherit" });
