// Auth: whether who calls may call.
import { TsdevError } from "../errors.ts";
import type { Principal } from "../procedures/procedure.ts";
import type { AuthOptions } from "./policies.ts";

/**
 * Throws `unauthenticated` when nobody was authenticated, `forbidden` when it is the wrong one, and what `input` throws:
 * it is asked for only by `allow`, after the roles, so that a stranger learns nothing of the contract.
 */
export async function authorize(
  auth: AuthOptions | true,
  what: string,
  principal: Principal | undefined,
  input: () => unknown,
): Promise<void> {
  if (!principal) {
    throw new TsdevError("unauthenticated", {
      message: `${what} is only for callers who are known`,
      fix: "authenticate; from code, give { principal }; a trigger's runs have the principal that it names",
    });
  }
  if (auth === true) return;
  const { roles, allow } = auth;
  if (roles && !roles.some((role) => principal.roles?.includes(role))) {
    throw new TsdevError("forbidden", {
      message: `${what} needs ${roles.length === 1 ? "the role" : "one of the roles"} ${roles.join(", ")}`,
      fix: "call it as somebody who has it",
    });
  }
  if (allow && (await allow(principal, await input())) !== true) {
    throw new TsdevError("forbidden", {
      message: `${what} does not allow this to "${principal.id}"`,
      fix: "call it as somebody who may",
    });
  }
}
