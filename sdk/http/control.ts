// Control: who may act on runs that are there, and who may answer for others (approvals, published events).
import type { Context } from "hono";
import type { RunStatus } from "../engine/engine.ts";
import { TsdevError } from "../errors.ts";
import type { Principal } from "../procedures/procedure.ts";
import { type Access, type Gate, mayPass } from "./access.ts";

/**
 * starter: whoever began a run may cancel, pause, resume, retry and rerun it, and nobody may answer approvals and publish
 * events. With `roles` and `starter`: the roles may do everything, and whoever began a run the same as by `"starter"`.
 */
export type Control = Access | "starter" | { readonly roles: readonly string[]; readonly starter: true };

export interface ControlGate {
  /**
   * The principal, once it is clear that it may do this to the run that `find` finds. Who may not look at runs learns of
   * none. Throws `unauthenticated`, `forbidden`, or what `find` throws.
   */
  admitTo<T extends { run: RunStatus }>(
    c: Context,
    what: string,
    find: () => Promise<T>,
  ): Promise<T & { principal: Principal | undefined }>;
  /** For what is never the starter's own to do. Throws `unauthenticated` or `forbidden`. */
  admitOther(c: Context, what: string): Promise<Principal | undefined>;
}

export function controlGate(gate: Gate, control: Control, runs: Access): ControlGate {
  const starter = control === "starter" || (typeof control === "object" && "starter" in control);
  /** Null: nobody. */
  const others: Access | null = control === "starter" ? null : control;

  return {
    async admitTo(c, what, find) {
      if (!starter) {
        const principal = await gate.admit(c, others!, what);
        return { ...(await find()), principal };
      }
      const principal = (await gate.admit(c, "authenticated", what))!;
      const everything = others !== null && mayPass(principal, others);
      const found = await find().catch((error: unknown) => {
        if (everything || mayPass(principal, runs)) throw error;
        throw notYours(what, others);
      });
      if (!everything && found.run.startedBy !== principal.id) throw notYours(what, others);
      return { ...found, principal };
    },
    async admitOther(c, what) {
      if (others !== null) return gate.admit(c, others, what);
      await gate.admit(c, "authenticated", what);
      throw new TsdevError("forbidden", {
        message: `nobody may do this over HTTP yet: ${what}`,
        fix: 'let createApp\'s option `control` say who, such as { roles: ["manager"], starter: true }',
      });
    },
  };
}

function notYours(what: string, others: Access | null): TsdevError {
  const roles = typeof others === "object" && others !== null ? `, or for the roles ${others.roles.join(", ")}` : "";
  return new TsdevError("forbidden", {
    message: `${what} is for whoever began it${roles}`,
    fix: "call it as one of them, or let createApp's option `control` say who else may",
  });
}
