// Chain: the builder at run time. Immutable: every method returns another chain. `workflow.ts` gives it its types.
import type { z } from "zod";
import {
  type ApproveIr,
  type CallIr,
  type CircuitBreakerIr,
  type EachIr,
  freezeIr,
  type MatchIr,
  type NodeIr,
  type PoliciesIr,
  parallelId,
  type RepeatIr,
  type RetryIr,
  type SleepIr,
  type StepIr,
  type TimeoutIr,
  versionOf,
  type WaitForIr,
  type WhenIr,
  type WorkflowIr,
} from "../ir/ir.ts";
import { checkCache, checkCircuitBreaker, checkRateLimit, checkRetry, checkTimeout } from "../policies/check-policy.ts";
import type { CacheOptions, PolicyKey, RateLimitOptions } from "../policies/policies.ts";
import type { AnyProcedure } from "../procedures/procedure.ts";
import { callerOf, type SourceLocation } from "../source-location.ts";
import type { AnyWorkflow, NodeCode, Scope } from "./definition.ts";
import type { AnyEvent } from "./event.ts";
import { type Link, NodeList } from "./node-list.ts";
import { checkCode, checkId, checkOptions, wrong } from "./node-options.ts";

type FromScope<T = unknown> = (scope: Scope) => T;
type Body = (chain: Chain) => Chain;

/** What a workflow has beside its nodes, and a branch or a body inside it none of. */
export interface Head {
  readonly name: string;
  readonly input: z.ZodType;
  readonly source: SourceLocation | undefined;
  readonly limit: number | undefined;
  readonly concurrencyKey: ((input: never) => string) | undefined;
  readonly previous: readonly AnyWorkflow[];
}

export class Chain implements Omit<AnyWorkflow, "kind" | "input"> {
  /** `branch`: the nodes inside another node. */
  readonly kind: "workflow" | "branch";
  readonly name: string;
  readonly input: z.ZodType | undefined;
  readonly concurrencyKey: ((input: never) => string) | undefined;
  readonly previous: readonly AnyWorkflow[];
  readonly source: SourceLocation | undefined;
  readonly #head: Head | undefined;
  readonly #list: NodeList;
  /** The same for all chains that go on from one beginning. */
  readonly #root: object;
  #ir: WorkflowIr | undefined;
  #code: ReadonlyMap<string, NodeCode> | undefined;
  #version: string | undefined;

  constructor(name: string, head: Head | undefined, list = NodeList.empty(name), root: object = {}) {
    this.kind = head ? "workflow" : "branch";
    this.name = name;
    this.input = head?.input;
    this.concurrencyKey = head?.concurrencyKey;
    this.previous = head?.previous ?? [];
    this.source = head?.source;
    this.#head = head;
    this.#list = list;
    this.#root = root;
  }

  // Made when it is first asked for: a chain of n nodes is n workflows, of which one is used.
  get ir(): WorkflowIr {
    if (this.#ir === undefined) {
      const { limit, concurrencyKey } = this.#head ?? {};
      const keyed = concurrencyKey === undefined ? {} : { keyed: true as const };
      const concurrency = limit === undefined ? {} : { concurrency: { limit, ...keyed } };
      const nodes = this.#list.links.map(({ node }) => node);
      this.#ir = freezeIr({ ir: 1, name: this.name, ...concurrency, nodes });
    }
    return this.#ir;
  }

  get code(): ReadonlyMap<string, NodeCode> {
    this.#code ??= new Map(this.#list.links.flatMap(({ code }) => code));
    return this.#code;
  }

  get version(): string {
    this.#version ??= versionOf(this.ir);
    return this.#version;
  }

  step(procedure: AnyProcedure, options: { as?: string; with?: FromScope } = {}): Chain {
    const source = callerOf(this.step);
    const node = this.#stepIr(procedure, "step");
    const place = this.#place("step", node.id);
    checkOptions("step", options, place);
    const id = options.as ?? node.id;
    return this.#add(
      { ...node, id, ...nested(options.as), ...(options.with ? { mapped: true } : {}) },
      { procedure, ...(options.with ? { with: options.with } : {}), source },
    );
  }

  parallel(procedures: readonly AnyProcedure[]): Chain {
    const source = callerOf(this.parallel);
    if (!Array.isArray(procedures) || procedures.length < 2) {
      throw wrong(`workflow "${this.name}": .parallel takes a list of two procedures or more`, "write one as .step");
    }
    const branches = procedures.map((procedure) => this.#stepIr(procedure, "parallel"));
    const code = procedures.map((procedure) => [procedure.name, { procedure, source }] as const);
    const node = { op: "parallel" as const, id: parallelId(branches), branches };
    return this.#append({ node, code: [[node.id, { source }], ...code] });
  }

  run(name: string, fn: NonNullable<NodeCode["run"]>): Chain {
    const source = callerOf(this.run);
    checkCode(fn, this.#place("run", name), "what it runs");
    return this.#add({ op: "run", id: name }, { run: fn, source });
  }

  when(id: string, decide: FromScope<boolean>, body: Body, otherwise?: Body): Chain {
    const source = callerOf(this.when);
    const place = this.#place("when", id);
    checkCode(decide, place, "its condition");
    const yes = this.#inside(body, place, "then");
    const no = otherwise === undefined ? undefined : this.#inside(otherwise, place, "otherwise");
    // biome-ignore lint/suspicious/noThenProperty: a list, and never awaited
    const node: WhenIr = { op: "when", id, then: nodesIn(yes), ...(no ? { otherwise: nodesIn(no) } : {}) };
    return this.#add(node, { decide, source }, [...yes, ...(no ?? [])]);
  }

  match(id: string, decide: FromScope, cases: Readonly<Record<string, Body>>, otherwise?: Body): Chain {
    const source = callerOf(this.match);
    const place = this.#place("match", id);
    checkCode(decide, place, "its value");
    const bodies = Object.entries(cases).map(([name, body]) => ({
      case: name,
      links: this.#inside(body, place, `case "${name}"`),
    }));
    if (bodies.length === 0) throw wrong(`${place}: it has no case`, "give an object with a branch for each value");
    const no = otherwise === undefined ? undefined : this.#inside(otherwise, place, "otherwise");
    const node: MatchIr = {
      op: "match",
      id,
      cases: bodies.map(({ case: name, links }) => ({ case: name, nodes: nodesIn(links) })),
      ...(no ? { otherwise: nodesIn(no) } : {}),
    };
    return this.#add(node, { decide, source }, [...bodies.flatMap(({ links }) => links), ...(no ?? [])]);
  }

  each(id: string, items: FromScope, body: Body, options: Pick<EachIr, "concurrency" | "onError"> = {}): Chain {
    const source = callerOf(this.each);
    const place = this.#place("each", id);
    checkCode(items, place, "its items");
    checkOptions("each", options, place);
    const inside = this.#bodyOf(body, place);
    const node: EachIr = { op: "each", id, ...options, nodes: nodesIn(inside) };
    return this.#add(node, { decide: items, source }, inside);
  }

  repeat(
    id: string,
    body: Body,
    options: { until: FromScope<boolean> } & Pick<RepeatIr, "maxTimes" | "everyMs">,
  ): Chain {
    const source = callerOf(this.repeat);
    const place = this.#place("repeat", id);
    checkOptions("repeat", options, place);
    const inside = this.#bodyOf(body, place);
    const { until, ...limits } = options;
    const node: RepeatIr = { op: "repeat", id, ...limits, nodes: nodesIn(inside) };
    return this.#add(node, { decide: until, source }, inside);
  }

  sleep(id: string, options: { ms: number } | { until: FromScope<Date> }): Chain {
    const source = callerOf(this.sleep);
    checkOptions("sleep", options, this.#place("sleep", id));
    const node: SleepIr = { op: "sleep", id, ...("ms" in options ? { ms: options.ms } : { mapped: true }) };
    return this.#add(node, { ...("until" in options ? { decide: options.until } : {}), source });
  }

  waitFor(
    id: string,
    event: AnyEvent,
    options: { key?: FromScope<string> } & Pick<WaitForIr, "timeoutMs" | "onTimeout"> = {},
  ): Chain {
    const source = callerOf(this.waitFor);
    const place = this.#place("waitFor", id);
    if (event?.kind !== "event") throw notDeclared(`${place}: its event`, "event");
    checkOptions("waitFor", options, place);
    const { key, ...limits } = options;
    if (key !== undefined && event.key === undefined) {
      throw wrong(`${place}: the event "${event.name}" has no key`, "give the event a key, or wait without one", "key");
    }
    const keyed = key === undefined ? {} : { keyed: true as const };
    const node: WaitForIr = { op: "waitFor", id, event: event.name, ...keyed, ...limits };
    return this.#add(node, { event, ...(key ? { decide: key } : {}), source });
  }

  approve(id: string, options: Pick<ApproveIr, "timeoutMs" | "onTimeout" | "onReject"> = {}): Chain {
    const source = callerOf(this.approve);
    checkOptions("approve", options, this.#place("approve", id));
    return this.#add({ op: "approve", id, ...options }, { source });
  }

  call(workflow: AnyWorkflow, options: { as?: string; with?: FromScope } = {}): Chain {
    const source = callerOf(this.call);
    const place = this.#place("call", options?.as ?? workflow?.name);
    if (workflow?.kind !== "workflow") throw notDeclared(`${place}: what it calls`, "workflow");
    checkOptions("call", options, place);
    const { as, with: map } = options;
    const mapped = map ? { mapped: true as const } : {};
    const node: CallIr = { op: "call", id: as ?? workflow.name, workflow: workflow.name, ...nested(as), ...mapped };
    return this.#add(node, { workflow, ...(map ? { with: map } : {}), source });
  }

  withRetry(options: RetryIr): Chain {
    const on = options?.on ? { on: [...options.on] } : {};
    return this.#policy("withRetry", (id) => ({ retry: { ...checkRetry(options, this.name, id), ...on } }));
  }

  withTimeout(options: TimeoutIr): Chain {
    return this.#policy("withTimeout", (id) => ({ timeout: { ...checkTimeout(options, this.name, id) } }));
  }

  withCircuitBreaker(options: CircuitBreakerIr): Chain {
    return this.#policy("withCircuitBreaker", (id) => ({
      circuitBreaker: { ...checkCircuitBreaker(options, this.name, id) },
    }));
  }

  withCache(options: CacheOptions<never>): Chain {
    const change = (id: string) => ({ cache: checkCache({ ...options }, this.name, id) });
    return this.#policy("withCache", change, options?.key && { cacheKey: options.key });
  }

  withRateLimit(options: RateLimitOptions<never>): Chain {
    const change = (id: string) => ({ rateLimit: checkRateLimit({ ...options }, this.name, id) });
    return this.#policy("withRateLimit", change, options?.key && { rateLimitKey: options.key });
  }

  compensate(procedure: AnyProcedure, options: { with?: FromScope } = {}): Chain {
    const { node, code } = this.#last("compensate");
    if (node.op !== "step") throw this.#misplaced("compensate", "a step");
    const place = `workflow "${this.name}", compensate of "${node.id}"`;
    if (procedure?.kind !== "procedure") throw notDeclared(`${place}: what undoes it`, "procedure");
    checkOptions("compensate", options, place);
    const mapped = options.with ? { mapped: true as const } : {};
    const undo = { procedure, ...(options.with ? { with: options.with } : {}) };
    return this.#replaceLast({
      node: { ...node, compensate: { procedure: procedure.name, ...mapped } },
      code: code.map(([id, own]) => [id, { ...own, compensate: undo }]),
    });
  }

  as(key: string): Chain {
    const { node, code } = this.#last("as");
    if (node.op !== "step" && node.op !== "run" && node.op !== "call") {
      throw this.#misplaced("as", "a step, a run or a call");
    }
    checkId(key, this.name);
    return this.#replaceLast({ node: { ...node, id: key, as: key }, code: code.map(([, own]) => [key, own]) });
  }

  #add(node: NodeIr, code: NodeCode, inside: readonly Link[] = []): Chain {
    return this.#append({ node, code: [[node.id, code], ...inside.flatMap((link) => link.code)] });
  }

  #append(link: Link): Chain {
    checkId(link.node.id, this.name);
    return new Chain(this.name, this.#head, this.#list.append(link), this.#root);
  }

  #replaceLast(link: Link): Chain {
    return new Chain(this.name, this.#head, this.#list.replaceLast(link), this.#root);
  }

  #last(modifier: string): Link {
    if (this.#list.last === undefined) throw this.#misplaced(modifier, "a node");
    return this.#list.last;
  }

  #policy(
    modifier: string,
    policy: (id: string) => PoliciesIr,
    key?: { cacheKey: PolicyKey<never> } | { rateLimitKey: PolicyKey<never> } | undefined,
  ): Chain {
    const { node, code } = this.#last(modifier);
    if (node.op !== "step" && node.op !== "run" && node.op !== "parallel") {
      throw this.#misplaced(modifier, "a step, a run or a parallel node");
    }
    if (key !== undefined && node.op === "parallel") {
      throw wrong(
        `workflow "${this.name}", ${modifier} of "${node.id}": its branches have different inputs, so one key cannot serve`,
        "leave the key out, or give it to the policies of the procedures",
        "key",
      );
    }
    // A second modifier of one kind stands in the place of the first, with its key.
    const kept = code.map(([id, own]): [string, NodeCode] => {
      const { cacheKey, rateLimitKey, ...rest } = own;
      const others = {
        ...(cacheKey && modifier !== "withCache" ? { cacheKey } : {}),
        ...(rateLimitKey && modifier !== "withRateLimit" ? { rateLimitKey } : {}),
      };
      return [id, { ...rest, ...others, ...key }];
    });
    return this.#replaceLast({ node: { ...node, ...policy(node.id) }, code: kept });
  }

  #stepIr(procedure: AnyProcedure, method: string): StepIr {
    if (procedure?.kind !== "procedure") throw notDeclared(`workflow "${this.name}", .${method}`, "procedure");
    return { op: "step", id: procedure.name, procedure: procedure.name };
  }

  /** The links that a body adds to the chain it is given. */
  #inside(body: Body, place: string, what: string): readonly Link[] {
    checkCode(body, place, what);
    const begin = new Chain(this.name, undefined);
    const end: unknown = body(begin);
    if (!(end instanceof Chain) || end.#root !== begin.#root) {
      throw wrong(
        `${place}: ${what} must return the chain that it was given, with its nodes`,
        "write it as an expression: (branch) => branch.step(…)",
      );
    }
    return end.#list.links;
  }

  #bodyOf(body: Body, place: string): readonly Link[] {
    const links = this.#inside(body, place, "its body");
    if (links.length === 0) throw wrong(`${place}: its body has no node`, "give it at least one");
    return links;
  }

  #place(method: string, id: string): string {
    return `workflow "${this.name}", .${method} "${id}"`;
  }

  #misplaced(modifier: string, where: string): Error {
    return wrong(`workflow "${this.name}": .${modifier} must follow ${where}`, "write it after what it is meant for");
  }
}

function nested(as: string | undefined): { as?: string } {
  return as === undefined ? {} : { as };
}

function nodesIn(links: readonly Link[]): readonly NodeIr[] {
  return links.map(({ node }) => node);
}

function notDeclared(place: string, kind: "procedure" | "event" | "workflow"): Error {
  return wrong(
    `${place} is no ${kind}`,
    `give it what \`${kind}\` returned; when it is undefined, its file and this one import each other`,
  );
}
