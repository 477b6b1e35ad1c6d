// For tests of the API: a store on a real Postgres, an organization with a principal for each role, a registry, HTTP on a free port.
import { createHash } from "node:crypto";
import type { Kysely } from "kysely";
import type { Operation, Principal, Role } from "../../sdk/operation.ts";
import { listen } from "../control-plane/listen.ts";
import { storeAudit } from "../identity/audit.ts";
import { Identity } from "../identity/identity.ts";
import { MasterKey } from "../secrets/master-key.ts";
import { Redactor } from "../secrets/redactor.ts";
import { newId } from "../store/id.ts";
import { temporaryPostgres } from "../store/postgres-fixture.ts";
import type { DatabaseSchema } from "../store/schema.ts";
import { openStore } from "../store/store.ts";
import { httpApi } from "./http.ts";
import { OperationRegistry } from "./registry.ts";

export async function apiFixture(operations: Operation[]) {
  const postgres = await temporaryPostgres();
  const store = await openStore({ url: postgres.url });
  const redactor = new Redactor();
  const identity = new Identity(store.db, new MasterKey(Buffer.alloc(32, 7)));
  const registry = new OperationRegistry({ operations, audit: storeAudit(store.db), redactor });
  let url = "http://localhost:1";
  const listening = await listen(httpApi({ registry, identity, url: () => url, version: "0.0.0" }), { port: 0 });
  url = listening.url;
  return {
    db: store.db,
    redactor,
    identity,
    registry,
    url,
    async [Symbol.asyncDispose]() {
      await listening.close();
      await store.close();
      await postgres[Symbol.asyncDispose]();
    },
  };
}

export type ApiFixture = Awaited<ReturnType<typeof apiFixture>>;

/** A new member of an organization, which is made where it does not exist, with a token. */
export async function member(
  db: Kysely<DatabaseSchema>,
  role: Role,
  organizationId = newId("org"),
): Promise<{ principal: Principal; token: string }> {
  const token = `tsd_${newId("tok")}`;
  const principal: Principal = { id: newId("tok"), name: `the ${role}`, organizationId, role };
  await db
    .insertInto("organizations")
    .values({ id: organizationId, name: organizationId })
    .onConflict((conflict) => conflict.column("id").doNothing())
    .execute();
  await db
    .insertInto("api_tokens")
    .values({
      id: principal.id,
      organization_id: organizationId,
      name: principal.name,
      role,
      token_hash: createHash("sha256").update(token).digest("hex"),
    })
    .execute();
  return { principal, token };
}
