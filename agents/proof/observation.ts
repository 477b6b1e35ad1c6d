// Observation: what one request made visible on one side, and how two of them are compared after declared normalisation.
import { canonicalJson } from "../../sdk/digest.ts";
import type { RowChange } from "./change-list.ts";

export interface Observation {
  status: number;
  headers: Record<string, string>;
  body: Buffer;
  /** Outgoing calls as `METHOD url #digest`, one each. */
  calls: string[];
  changes: RowChange[];
}

/** Differ from answer to answer without meaning: clocks, connections, identities of one delivery. */
const ignoredHeaders = new Set([
  "age",
  "connection",
  "content-length",
  "date",
  "etag",
  "keep-alive",
  "last-modified",
  "server-timing",
  "traceparent",
  "tracestate",
  "transfer-encoding",
  "x-request-id",
  "x-response-time",
  "x-trace-id",
]);

// A UUID, or the id of the trace that an answer of `@tsdev/sdk/http` points at.
const madeId =
  /\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b|(?<=\burn:tsdev:trace:)[0-9a-f]{32}\b/gi;
const isoTime = /\b(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d(?:\.\d+)?)\s?(Z|[+-]\d\d(?::?\d\d)?)?/g;
const epoch = /(?<![\w.-])1[6-9]\d{8}(?:\d{3})?(?![\w-])/g;

export const normalisations = [
  "times within the replay, as ISO text or as seconds or milliseconds of the epoch",
  "UUIDs, and trace ids behind `urn:tsdev:trace:`, that only one side made, renamed by first appearance",
  "the order of keys in JSON objects",
  `the headers ${[...ignoredHeaders].join(", ")}`,
  "the order of outgoing calls within a request, and of changes to different rows",
];

export interface CompareRules {
  /** Outgoing calls count as a set: a retried call is one call. */
  callsAsSet: boolean;
  /** When both sides answered 500 or above, the body (it may tell attempts) is not compared. */
  failedBodies: boolean;
}

/** Compares the two sides' observations of one run after another, remembering the ids that each side made. */
export class Comparison {
  readonly #since: number;
  readonly #paths: string[][];
  readonly #keys: Set<string>;
  readonly #headers: Set<string>;
  readonly #rules: CompareRules;
  readonly #seen = { left: new Set<string>(), right: new Set<string>() };
  readonly #names = { left: new Map<string, number>(), right: new Map<string, number>() };

  /** `normalise` holds JSON paths (`items.*.took`), keys that are meant at any depth (`took`) and header names. */
  constructor(since: number, normalise: readonly string[], rules: CompareRules) {
    this.#since = since - 1_000;
    this.#rules = rules;
    this.#headers = new Set(normalise.map((name) => name.toLowerCase()));
    this.#paths = normalise.map((path) =>
      path
        .replace(/^\$\.?/, "")
        .replaceAll(/\[\*?\]/g, ".*")
        .split("."),
    );
    this.#keys = new Set(normalise.filter((name) => !/[.[*$]/.test(name)));
  }

  /** The differences, each with where it is; empty when the two are equal. */
  compare(left: Observation, right: Observation): string[] {
    const a = this.#view(left, right);
    const b = this.#view(right, left);
    for (const id of idsOf(a)) this.#seen.left.add(id);
    for (const id of idsOf(b)) this.#seen.right.add(id);
    const x = this.#rename(a, "left", this.#seen.right);
    const y = this.#rename(b, "right", this.#seen.left);
    return x.flatMap((line, index) => differences(line, y[index]!));
  }

  #view(side: Observation, other: Observation): View[] {
    const failed = !this.#rules.failedBodies && side.status >= 500 && other.status >= 500;
    const headers = Object.entries(side.headers)
      .filter(([name]) => !ignoredHeaders.has(name) && !this.#headers.has(name))
      .map(([name, value]) => [name, name === "set-cookie" ? value.replaceAll(/;\s*expires=[^;]*/gi, "") : value])
      .sort((p, q) => (p[0]! < q[0]! ? -1 : 1));
    const calls = this.#rules.callsAsSet ? [...new Set(side.calls)] : [...side.calls];
    // The order of changes is kept for each row; rows of parallel steps may come in any order.
    const rows = new Map<string, string[]>();
    for (const change of side.changes) {
      const row = `${change.table} ${change.key}`;
      rows.set(row, [...(rows.get(row) ?? []), `${change.table}: ${change.text}`]);
    }
    return [
      { what: "status", lines: [String(side.status)], ordered: true },
      { what: "headers", lines: failed ? [] : headers.map(([name, value]) => `${name}: ${value}`), ordered: true },
      { what: "body", lines: failed ? [] : this.#body(side), ordered: true },
      { what: "outgoing calls", lines: calls, ordered: false },
      { what: "changed rows", lines: [...rows.values()].map((texts) => texts.join("\n  then ")), ordered: false },
    ];
  }

  #body(side: Observation): string[] {
    const type = side.headers["content-type"] ?? "";
    if (/[/+]json/i.test(type)) {
      try {
        const value: unknown = JSON.parse(side.body.toString("utf8"));
        for (const path of this.#paths) blank(value, path);
        return jsonLines(value, "$", this.#keys);
      } catch {
        // Not the JSON it says it is: compared as text.
      }
    }
    return isUtf8Text(side.body) ? side.body.toString("utf8").split("\n") : [side.body.toString("base64")];
  }

  #rename(view: View[], side: "left" | "right", otherSaw: ReadonlySet<string>): View[] {
    const names = this.#names[side];
    const until = Date.now() + 1_000;
    const inWindow = (time: number) => time >= this.#since && time <= until;
    return view.map(({ what, lines, ordered }) => {
      const renamed = lines.map((line) =>
        line
          .replaceAll(madeId, (id) => {
            // An id that both sides know is data: only ids that one side made may be called alike.
            if (otherSaw.has(id)) return id;
            if (!names.has(id)) names.set(id, names.size + 1);
            return `<id ${names.get(id)}>`;
          })
          .replaceAll(isoTime, (text, date: string, clock: string, zone: string | undefined) =>
            inWindow(Date.parse(`${date}T${clock.slice(0, 12)}${offset(zone)}`)) ? "<time>" : text,
          )
          .replaceAll(epoch, (text) => (inWindow(Number(text) * (text.length === 10 ? 1_000 : 1)) ? "<time>" : text)),
      );
      return { what, ordered, lines: ordered ? renamed : renamed.sort() };
    });
  }
}

interface View {
  what: string;
  lines: string[];
  ordered: boolean;
}

function offset(zone: string | undefined): string {
  if (zone === undefined || zone === "Z") return "Z";
  return zone.length === 3 ? `${zone}:00` : zone.includes(":") ? zone : `${zone.slice(0, 3)}:${zone.slice(3)}`;
}

function* idsOf(view: View[]): Iterable<string> {
  for (const { lines } of view) for (const line of lines) for (const [id] of line.matchAll(madeId)) yield id;
}

/** One line per leaf, so that a difference names its place. */
function jsonLines(value: unknown, path: string, skip: ReadonlySet<string>): string[] {
  if (Array.isArray(value)) {
    if (value.length === 0) return [`${path} = []`];
    return value.flatMap((item, index) => jsonLines(item, `${path}[${index}]`, skip));
  }
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    if (entries.length === 0) return [`${path} = {}`];
    return entries.flatMap(([key, item]) => (skip.has(key) ? [] : jsonLines(item, `${path}.${key}`, skip)));
  }
  return [`${path} = ${canonicalJson(value)}`];
}

function blank(value: unknown, path: readonly string[]): void {
  if (typeof value !== "object" || value === null) return;
  const [step, ...rest] = path;
  const target = value as Record<string, unknown>;
  const keys = step === "*" ? Object.keys(target) : step !== undefined && step in target ? [step] : [];
  for (const key of keys) {
    if (rest.length === 0) target[key] = "<normalised>";
    else blank(target[key], rest);
  }
}

function differences(left: View, right: View): string[] {
  const limit = 3;
  const found: string[] = [];
  if (left.ordered) {
    for (let i = 0; i < Math.max(left.lines.length, right.lines.length) && found.length < limit; i += 1) {
      if (left.lines[i] !== right.lines[i]) {
        found.push(`${left.what}: ${short(left.lines[i])} before, ${short(right.lines[i])} after`);
      }
    }
    return found;
  }
  for (const line of without(left.lines, right.lines).slice(0, limit))
    found.push(`${left.what}: only before: ${short(line)}`);
  for (const line of without(right.lines, left.lines).slice(0, limit))
    found.push(`${left.what}: only after: ${short(line)}`);
  return found;
}

function without(lines: readonly string[], other: readonly string[]): string[] {
  const left = new Map<string, number>();
  for (const line of other) left.set(line, (left.get(line) ?? 0) + 1);
  return lines.filter((line) => {
    const count = left.get(line) ?? 0;
    left.set(line, count - 1);
    return count <= 0;
  });
}

function short(line: string | undefined): string {
  if (line === undefined) return "nothing";
  return line.length > 200 ? `${line.slice(0, 200)}…` : line;
}

function isUtf8Text(body: Buffer): boolean {
  return Buffer.from(body.toString("utf8"), "utf8").equals(body);
}
