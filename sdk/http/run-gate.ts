// The gate of runs: who may begin them, look at them, act on them, and answer for others (approvals, published events).
import type { Context } from "hono";
import type { RunStatus } from "../engine/engine.ts";
import { TsdevError } from "../errors.ts";
import type { Principal } from "../procedures/procedure.ts";
import { type Access, type Gate, mayPass } from "./access.ts";

/**
 * starter: everybody who is known, for the runs that he began. With `roles` and `starter`: the roles for every run, and
 * whoever began a run for that one.
 */
export type RunAccess = Access | "starter" | { readonly roles: readonly string[]; readonly starter: true };

type Found = { run: RunStatus };
type Admitted<T> = T & { principal: Principal | undefined };

export interface RunGate {
  /** The principal, once it is clear that it may begin runs. Throws `unauthenticated` or `forbidden`. */
  begin(c: Context, what: string): Promise<Principal | undefined>;
  /** What runs the caller may see: all, or those that somebody began. Throws `unauthenticated` or `forbidden`. */
  list(c: Context, what: string): Promise<{ startedBy?: string }>;
  /** The run that `find` finds, once it is clear that the caller may see it: who may not is told that there is none. */
  look<T extends Found>(c: Context, what: string, find: () => Promise<T>): Promise<T>;
  /**
   * The run that `find` finds and the principal that may act on it. Who may not look at runs learns of none. Throws
   * `unauthenticated`, `forbidden`, or what `find` throws.
   */
  control<T extends Found>(c: Context, what: string, find: () => Promise<T>): Promise<Admitted<T>>;
  /** For what is never the starter's own to do. Throws `unauthenticated` or `forbidden`. */
  answer(c: Context, what: string): Promise<Principal | undefined>;
}

export function runGate(gate: Gate, access: { runs: RunAccess; control: RunAccess }): RunGate {
  const runs = partsOf(access.runs);
  const control = partsOf(access.control);
  const seesAll = (known: Principal) => passes(known, runs.everyRun) || passes(known, control.everyRun);

  return {
    begin(c, what) {
      return gate.admit(c, runs.starter ? "authenticated" : runs.everyRun!, what);
    },
    async list(c, what) {
      if (!runs.starter) {
        await gate.admit(c, runs.everyRun!, what);
        return {};
      }
      const known = (await gate.admit(c, "authenticated", what))!;
      return seesAll(known) ? {} : { startedBy: known.id };
    },
    async look(c, what, find) {
      const { startedBy } = await this.list(c, what);
      const found = await find();
      if (startedBy === undefined || found.run.startedBy === startedBy) return found;
      throw noRun(found.run.workflow, found.run.runId);
    },
    async control(c, what, find) {
      if (!control.starter) {
        const principal = await gate.admit(c, control.everyRun!, what);
        return { ...(await find()), principal };
      }
      const principal = (await gate.admit(c, "authenticated", what))!;
      const everyRun = passes(principal, control.everyRun);
      const found = await find().catch((error: unknown) => {
        if (seesAll(principal)) throw error;
        throw notYours(what, control.everyRun);
      });
      if (!everyRun && found.run.startedBy !== principal.id) throw notYours(what, control.everyRun);
      return { ...found, principal };
    },
    async answer(c, what) {
      if (control.everyRun !== null) return gate.admit(c, control.everyRun, what);
      await gate.admit(c, "authenticated", what);
      throw new TsdevError("forbidden", {
        message: `nobody may do this over HTTP yet: ${what}`,
        fix: 'let createApp\'s option `control` say who, such as { roles: ["manager"], starter: true }',
      });
    },
  };
}

/** The same whether another began it or nobody did. */
export function noRun(workflow: string, runId: string): TsdevError {
  return new TsdevError("not_found", {
    message: `workflow "${workflow}" has no run "${runId}" for this caller`,
    fix: "use the runId that its start gave, as the caller that began it or as one whom createApp's option `runs` lets see all",
  });
}

interface Parts {
  /** Whether a run's starter is let in to his own. */
  readonly starter: boolean;
  /** Who is let in to every run. Null: nobody. */
  readonly everyRun: Access | null;
}

function partsOf(access: RunAccess): Parts {
  if (access === "starter") return { starter: true, everyRun: null };
  return { starter: typeof access === "object" && "starter" in access, everyRun: access };
}

function passes(known: Principal, access: Access | null): boolean {
  return access !== null && mayPass(known, access);
}

function notYours(what: string, others: Access | null): TsdevError {
  const roles = typeof others === "object" && others !== null ? `, or for the roles ${others.roles.join(", ")}` : "";
  return new TsdevError("forbidden", {
    message: `${what} is for whoever began it${roles}`,
    fix: "call it as one of them, or let createApp's option `control` say who else may",
  });
}
