// postgres.js: a span for each query, from the await that begins it to its answer, also while it waits for a connection.
import { type Attributes, trace } from "@opentelemetry/api";
import {
  ATTR_DB_NAMESPACE,
  ATTR_DB_QUERY_TEXT,
  ATTR_DB_RESPONSE_STATUS_CODE,
  ATTR_DB_SYSTEM_NAME,
  ATTR_SERVER_ADDRESS,
  ATTR_SERVER_PORT,
  DB_SYSTEM_NAME_VALUE_POSTGRESQL,
} from "@opentelemetry/semantic-conventions";
import { RecordedSpan } from "../span.ts";
import type { LeanTracer } from "../tracer.ts";
import { begun, errorType, finished, operationOf, type PeerError } from "./client-span.ts";
import type { Then } from "./lazy-thenable.ts";
import type { Patch } from "./library-hooks.ts";

const seen = Symbol("tsdev.seen");

interface Query {
  [seen]?: boolean;
  strings: readonly string[];
  handler: object;
  executed: boolean;
  statement: { string?: string } | null;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}
interface QueryClass {
  prototype: { handle(this: Query): unknown; then: Then };
}
interface Options {
  host?: string[];
  port?: number[];
  database?: string;
}
type Sql = ((strings: TemplateStringsArray) => Query) & { options?: Options };

const optionsOf = new WeakMap<object, Options>();
const instances: Options[] = [];

export const patch: Patch = (file, exports, tracers) => {
  const tracer = tracers.getTracer("@tsdev/sdk/postgres");
  if (file.endsWith("query.js")) return patchQuery(exports as unknown as { Query: QueryClass }, tracer);
  // CommonJS exports the function itself.
  if (typeof exports === "function") return noting(exports as unknown as (...args: unknown[]) => Sql);
  const { default: postgres } = exports;
  if (typeof postgres !== "function") throw new Error("the default export is no function");
  return { default: noting(postgres as (...args: unknown[]) => Sql) };
};

/** Remembers the settings of each client: a query knows only the function that will send it. */
function noting(postgres: (...args: unknown[]) => Sql): unknown {
  return new Proxy(postgres, {
    apply(target, self, args) {
      const sql = Reflect.apply(target, self, args) as Sql;
      if (sql.options) {
        instances.push(sql.options);
        // Never awaited, so never sent.
        optionsOf.set(sql``.handler, sql.options);
      }
      return sql;
    },
  });
}

function patchQuery({ Query }: { Query: QueryClass }, tracer: LeanTracer): undefined {
  const { prototype } = Query;
  const { handle, then } = prototype;
  if (typeof handle !== "function" || typeof then !== "function") throw new Error("Query.prototype.handle is missing");

  prototype.handle = function tracedHandle() {
    begin(this, tracer, tracedHandle);
    return handle.call(this);
  };

  // `await` calls this from an empty stack; one reaction later the engine sees the awaiting code.
  // biome-ignore lint/suspicious/noThenProperty: it has one.
  prototype.then = function tracedThen(this: Query, onFulfilled, onRejected) {
    if (this.executed || this[seen] || !(trace.getActiveSpan() instanceof RecordedSpan)) {
      return then.call(this, onFulfilled, onRejected);
    }
    const direct = tracer.source.callSites.capture(tracedThen);
    if (direct.length > 0) return then.call(this, onFulfilled, onRejected);
    const query = this;
    return Promise.resolve()
      .then(function hop() {
        begin(query, tracer, hop);
        return then.call(query);
      })
      .then(onFulfilled as never, onRejected as never);
  } as Then;
  return undefined;
}

function begin(query: Query, tracer: LeanTracer, below: (...args: never[]) => unknown): void {
  // `handle` is called by everything that may begin a query, and again by everything that waits for it.
  if (query.executed || query[seen]) return;
  query[seen] = true;
  const describe = () => {
    const text = textOf(query);
    const options = optionsOf.get(query.handler) ?? (instances.length === 1 ? instances[0] : undefined);
    const name = [operationOf(text) || "query", options?.database].filter(Boolean).join(" ");
    return { name, text, attributes: attributesOf(options) };
  };
  const span = begun(tracer, describe, below);
  if (!span) return;
  // Both are called once, at the end: no reaction of ours hangs on the promise.
  endBefore(query, "resolve", () => end(query, span, undefined));
  endBefore(query, "reject", (error) => end(query, span, error));
}

/** Calls `first` before the query's own function, also when a cursor puts another one in its place. */
function endBefore(query: Query, name: "resolve" | "reject", first: (value: unknown) => void): void {
  let settle = query[name];
  const both = (value: unknown) => {
    first(value);
    settle(value);
  };
  Object.defineProperty(query, name, {
    configurable: true,
    enumerable: true,
    get: () => both,
    set: (other: (value: unknown) => void) => {
      settle = other;
    },
  });
}

function end(query: Query, span: RecordedSpan, error: unknown): void {
  // Fragments and helpers are put in only when the query is sent.
  const sent = query.statement?.string;
  if (typeof sent === "string") span.setAttribute(ATTR_DB_QUERY_TEXT, sent);
  finished(span, error, described);
}

function textOf({ strings }: Query): string {
  return strings.length < 2 ? (strings[0] ?? "") : strings.reduce((text, part, index) => `${text}$${index}${part}`);
}

function attributesOf(options: Options | undefined): Attributes {
  return {
    [ATTR_DB_SYSTEM_NAME]: DB_SYSTEM_NAME_VALUE_POSTGRESQL,
    [ATTR_DB_NAMESPACE]: options?.database,
    [ATTR_SERVER_ADDRESS]: options?.host?.[0],
    [ATTR_SERVER_PORT]: options?.port?.[0],
  };
}

function described(error: object): PeerError {
  const type = errorType(error);
  // SQLSTATE has five characters; other codes are of the connection.
  return { type, attributes: type.length === 5 ? { [ATTR_DB_RESPONSE_STATUS_CODE]: type } : {} };
}
