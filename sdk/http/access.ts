// Access: who a request comes from, and which of an app's own routes that allows.
import type { Context } from "hono";
import { TsdevError } from "../errors.ts";
import type { Principal } from "../procedures/procedure.ts";

/** open: everybody. authenticated: whoever `authenticate` knows. roles: whoever has one of them. */
export type Access = "open" | "authenticated" | { readonly roles: readonly string[] };

/** Undefined: nobody that is known. Throws `unauthenticated` for credentials that are wrong. */
export type Authenticate = (request: Request) => Principal | undefined | Promise<Principal | undefined>;

export interface Gate {
  /** Undefined without `authenticate`, or for somebody unknown. */
  principal(c: Context): Promise<Principal | undefined> | undefined;
  /** The principal, once it is clear that it may. Throws `unauthenticated` or `forbidden`. */
  admit(c: Context, access: Access, what: string): Promise<Principal | undefined>;
}

/** Whether somebody who is known may. */
export function mayPass(known: Principal, access: Access): boolean {
  return typeof access === "string" || access.roles.some((role) => known.roles?.includes(role));
}

export function gateOf(authenticate: Authenticate | undefined): Gate {
  const principal = authenticate ? async (c: Context) => authenticate(c.req.raw) : () => undefined;
  return {
    principal,
    async admit(c, access, what) {
      const known = await principal(c);
      if (access === "open") return known;
      if (!known) {
        throw new TsdevError("unauthenticated", {
          message: `${what} is only for callers who are known`,
          fix: authenticate
            ? "send the credentials that this app's `authenticate` asks for"
            : "give createApp `authenticate`, or open these routes by its option `control` or `runs`",
        });
      }
      if (mayPass(known, access)) return known;
      const { roles } = access as { roles: readonly string[] };
      throw new TsdevError("forbidden", {
        message: `${what} needs ${roles.length === 1 ? "the role" : "one of the roles"} ${roles.join(", ")}`,
        fix: "call it as somebody who has it",
      });
    },
  };
}
