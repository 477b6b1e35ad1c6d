// Template: the environment's database as a frozen copy that both sides are cloned from, made without disturbing it.
import { TsdevError } from "../../sdk/errors.ts";
import { boot } from "./boot.ts";
import { copyExtensions, copyRows } from "./database-copy.ts";
import { openClient, type ProofServer } from "./proof-server.ts";
import type { ProofDependencies, ProofRequest } from "./request.ts";
import { scaleRows } from "./scale-rows.ts";

export interface Template {
  name: string;
  /** As the base version's start leaves an empty database: for the app's own tests, which need no production rows. */
  fresh: string;
  rows: number;
  left: string[];
}

/** More rows than this are not multiplied: it would take longer than all the rest. */
const largestToScale = 500_000;

/**
 * Makes the template: an empty database, the schema as the base version's own start makes it, then every row.
 * `databaseUrl` is read in one snapshot; it may have connections and be written meanwhile.
 */
export async function makeTemplate(
  server: ProofServer,
  databaseUrl: string,
  request: ProofRequest,
  dependencies: ProofDependencies,
): Promise<Template> {
  const name = await server.createEmpty("template");
  const source = await openClient(databaseUrl).catch((error: unknown) => {
    throw new TsdevError("not_proven", {
      message: "the environment's database could not be read for a copy",
      fix: "check that the database answers and that its role may connect once more",
      cause: error,
    });
  });
  try {
    const extensions = await server.connect(name);
    const left = await copyExtensions(source, extensions);
    await server.disconnect(extensions);
    const sink = { recordings: [], retries: false, longestMs: 0 };
    const options = { label: "schema", version: request.base, database: name, sink, deterministic: false, core: null };
    const side = await boot(options, request, dependencies, server);
    await side.quiet();
    await side.stop();
    await side.close();
    const fresh = await server.clone(name, "fresh");
    const target = await server.connect(name);
    const copied = await copyRows(source, target, dependencies.signal);
    await server.disconnect(target);
    await server.freeze(name);
    return { name, fresh, rows: copied.rows, left: [...left, ...copied.left] };
  } finally {
    await source.end().catch(() => {});
  }
}

/** The same with `times` the rows; null, and why, where that was not possible. */
export async function makeScaledTemplate(
  server: ProofServer,
  template: Template,
  times: number,
  signal: AbortSignal,
): Promise<{ template: Template | null; left: string[] }> {
  if (template.rows > largestToScale) {
    return { template: null, left: [`${times} times the rows: the database has ${template.rows} already`] };
  }
  const name = await server.clone(template.name, "scaled");
  const client = await server.connect(name);
  const result = await scaleRows(client, times, signal);
  await server.disconnect(client);
  await server.freeze(name);
  const left = result.left.map((text) => `at ${times} times the rows: ${text}`);
  if (result.tables === 0) return { template: null, left: [...left, `${times} times the rows: no table could grow`] };
  return { template: { ...template, name, rows: template.rows + result.rows, left: [] }, left };
}
