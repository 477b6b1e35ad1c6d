// Check parts: what the compiler says of a procedure, for those who write JavaScript or have another Zod.
import { TsdevError } from "../errors.ts";

/** What a route may answer to. */
export const routeMethods = ["GET", "POST", "PUT", "PATCH", "DELETE"] as const;

/** Throws `invalid_config` naming the procedure. */
export function checkParts({ name, input, output, handler, http }: Record<string, unknown>): void {
  const refuse = (path: string, message: string, fix: string): never => {
    throw new TsdevError("invalid_config", { message: `procedure "${name}": ${message}`, fix, path });
  };
  for (const [path, contract] of Object.entries({ input, output })) {
    if (isContract(contract)) continue;
    const fix = "_def" in Object(contract) ? "npm install zod@4" : `give ${path} a contract, such as z.object({ … })`;
    refuse(path, `its ${path} is no schema of Zod 4`, fix);
  }
  if (typeof handler !== "function") refuse("handler", "it has no handler", "give handler a function");
  if (http === undefined) return;
  const { method, path } = Object(http) as { method?: unknown; path?: unknown };
  if (!routeMethods.some((one) => one === method)) {
    refuse(
      "http.method",
      `${JSON.stringify(method)} is no method of a route`,
      `write one of ${routeMethods.join(", ")}`,
    );
  }
  if (typeof path !== "string" || !path.startsWith("/")) {
    refuse("http.path", `the path ${JSON.stringify(path)} does not begin with a slash`, "write it as /orders/:id");
  }
}

/** Schemas of Zod 3 have no `_zod`. */
function isContract(value: unknown): boolean {
  return typeof value === "object" && value !== null && "_zod" in value;
}
