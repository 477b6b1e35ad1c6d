// pg: one span for each query, in the context of whoever asked for it, also when the pool made it wait.
import {
  InstrumentationBase,
  InstrumentationNodeModuleDefinition,
  InstrumentationNodeModuleFile,
} from "@opentelemetry/instrumentation";
import type { LeanTracer } from "../tracer.ts";
import { type ClientClass, patchClient } from "./pg-client.ts";
import { type PoolClass, patchPool } from "./pg-pool.ts";

const patched = Symbol.for("tsdev.pg");

export class PgTracing extends InstrumentationBase {
  #tracer: LeanTracer | undefined;

  constructor(tracer: LeanTracer) {
    super(tracer.scope.name, tracer.scope.version, {});
    this.#tracer = tracer;
  }

  override init() {
    const versions = [">=8.0.3 <9"];
    const client = (exports: ClientClass) => this.#patched(exports, patchClient);
    const file = (name: string) => new InstrumentationNodeModuleFile(name, versions, client, () => {});
    return [
      new InstrumentationNodeModuleDefinition("pg", versions, undefined, undefined, [
        file("pg/lib/client.js"),
        file("pg/lib/native/client.js"),
      ]),
      new InstrumentationNodeModuleDefinition("pg-pool", [">=2.0.0 <4"], (exports: PoolClass) =>
        this.#patched(exports, patchPool),
      ),
    ];
  }

  #patched<C extends { prototype: object }>(exports: C, patch: (exports: C, tracer: LeanTracer) => void): C {
    const tracer = this.#tracer;
    if (tracer && exports?.prototype && !Object.hasOwn(exports.prototype, patched)) {
      patch(exports, tracer);
      Object.defineProperty(exports.prototype, patched, { value: true });
    }
    return exports;
  }
}
