// Library hooks: what a patch must not do to an app, whatever the library holds.
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { type AppFolder, appFolder, runApp } from "../app.fixture.ts";

let folder: AppFolder | undefined;
afterEach(() => folder?.remove());

/** Runs a script in a folder with packages of its own; answers the exit code and what it printed. */
async function run(script: string, packages: Record<string, Record<string, string>> = {}) {
  folder = appFolder();
  for (const [name, files] of Object.entries(packages)) {
    for (const [file, text] of Object.entries(files)) {
      const path = join(folder.path, "app/node_modules", name, file);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text);
    }
  }
  const file = folder.write("app/main.mjs", script);
  const app = runApp({ file, cwd: folder.path, env: { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:9" } });
  return { code: await app.ended, output: app.output() };
}

test("a library whose inside is another than expected works, and the log says once that it is not traced", async () => {
  const { code, output } = await run(
    `import mysql from "mysql2";
     import { QueryPromise } from "drizzle-orm/query-promise.js";
     console.log(mysql.hello(), typeof QueryPromise);`,
    {
      mysql2: {
        "package.json": `{"name":"mysql2","version":"3.99.0","main":"index.js"}`,
        "index.js": `require("./lib/base/pool.js"); require("./lib/base/connection.js"); exports.hello = () => "hello";`,
        "lib/base/pool.js": "exports.other = 1;",
        "lib/base/connection.js": "exports.other = 1;",
      },
      "drizzle-orm": {
        "package.json": `{"name":"drizzle-orm","version":"0.99.0","type":"module","exports":{"./*":"./*"}}`,
        "query-promise.js": "export class QueryPromise {}",
      },
    },
  );
  expect(code).toBe(0);
  expect(output).toContain("hello function");
  expect(output.match(/mysql2 is not traced/g)).toHaveLength(1);
  expect(output.match(/drizzle-orm is not traced/g)).toHaveLength(1);
});

test("a rejection that nobody handles is one, with the library's own error", async () => {
  const { code, output } = await run(
    `import postgres from "postgres";
     import { trace } from "@opentelemetry/api";
     const sql = postgres("postgres://127.0.0.1:9/none", { max: 1 });
     process.on("unhandledRejection", (error) => { console.log("unhandled", error.code); process.exit(7); });
     async function orphan() { await sql\`SELECT 1\`; }
     trace.getTracer("app").startActiveSpan("root", () => void orphan());`,
  );
  expect(output).toContain("unhandled ECONNREFUSED");
  expect(output.match(/unhandled/g)).toHaveLength(1);
  expect(code).toBe(7);
});

test("a query that is awaited twice is made once, and one that is never awaited is not made", async () => {
  const { output } = await run(
    `import { QueryPromise } from "drizzle-orm/query-promise";
     import { trace } from "@opentelemetry/api";
     let made = 0;
     class Query extends QueryPromise { execute() { made += 1; return Promise.resolve(made); } }
     new Query();
     await trace.getTracer("app").startActiveSpan("root", async () => {
       const query = new Query();
       console.log(await query, made, await query.then((value) => value * 10), await query.catch(() => 0).finally(() => {}));
     });`,
  );
  // Drizzle makes a query anew each time it is awaited.
  expect(output).toContain("1 1 20 3");
});

test("nothing of ours for a library is loaded before the library is", async () => {
  const { output } = await run(
    `import { registerHooks } from "node:module";
     const ours = [];
     registerHooks({ load: (url, context, next) => { if (url.includes("/tracing/libraries/")) ours.push(url.split("/").at(-1)); return next(url, context); } });
     await import("drizzle-orm/query-promise");
     console.log("loaded", JSON.stringify(ours.sort()));`,
  );
  expect(output).toContain(`loaded ["drizzle.ts","lazy-thenable.ts"]`);
});
