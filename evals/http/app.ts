// The app that the evals drive: one of everything that HTTP serves, in memory.
import { openEngine } from "../../sdk/engine/open-engine.ts";
import { richApp } from "../../sdk/http/rich-app.fixture.ts";
import { serve } from "../../sdk/http/serve.ts";

const engine = await openEngine({ log: { debug() {}, info() {}, warn() {}, error() {} } });
const { url } = await serve(richApp(engine), { port: 0, hostname: "127.0.0.1", drainMs: 0, engine });
process.send?.(url);
