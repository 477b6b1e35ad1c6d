// Identity: who calls. One machine has one organization and one owner, whose token is made at the first start.
import { createHash, createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Kysely, sql } from "kysely";
import { z } from "zod";
import { TsdevError } from "../../sdk/errors.ts";
import { type Principal, type Role, roles } from "../../sdk/operation.ts";
import type { MasterKey } from "../secrets/master-key.ts";
import { newId } from "../store/id.ts";
import type { DatabaseSchema } from "../store/schema.ts";

const loginLinkMinutes = 10;
/** How long a browser stays logged in. */
export const sessionDays = 30;

/** What telemetry that arrives with an ingest token belongs to. */
export const IngestScope = z.object({ organizationId: z.string(), project: z.string(), environment: z.string() });
export type IngestScope = z.infer<typeof IngestScope>;

const dayMs = 24 * 3600 * 1000;
const digest = (secret: string) => createHash("sha256").update(secret).digest("hex");
const secret = (prefix: string) => `${prefix}_${randomBytes(24).toString("base64url")}`;

export class Identity {
  readonly #db: Kysely<DatabaseSchema>;
  readonly #ingestKey: Buffer;

  constructor(db: Kysely<DatabaseSchema>, masterKey: MasterKey) {
    this.#db = db;
    this.#ingestKey = masterKey.derive("ingest");
  }

  /**
   * The owner's token, kept in `directory/owner-token` (mode 0600). Made at the first start; `created` is true where its row is
   * made: a token that a kill kept from being told is told by the next start.
   * Safe to repeat after a kill at any point: the file is written before the row, and the row is made again from it.
   */
  async ensureOwner(directory: string): Promise<{ token: string; created: boolean; organizationId: string }> {
    const path = join(directory, "owner-token");
    const existing = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return "";
      // a file that is there but cannot be read must not be replaced
      throw new TsdevError("data_directory_unwritable", {
        message: `the owner's token cannot be read: ${error.message}`,
        fix: `make ${path} readable for this user`,
        cause: error,
      });
    });
    const token = existing.trim() || secret("tsd");
    if (existing.trim() === "") {
      await rm(`${path}.new`, { force: true });
      await writeFile(`${path}.new`, `${token}\n`, { mode: 0o600 });
      await rename(`${path}.new`, path);
    }
    const known = await this.#db
      .selectFrom("api_tokens")
      .select("organization_id")
      .where("token_hash", "=", digest(token))
      .executeTakeFirst();
    if (known) return { token, created: false, organizationId: known.organization_id };
    const organizationId = await this.#db.transaction().execute(async (trx) => {
      const organization =
        (await trx.selectFrom("organizations").select("id").orderBy("created_at").executeTakeFirst()) ??
        (await trx
          .insertInto("organizations")
          .values({ id: newId("org"), name: "local" })
          .returning("id")
          .executeTakeFirstOrThrow());
      await trx
        .insertInto("api_tokens")
        .values({
          id: newId("tok"),
          organization_id: organization.id,
          name: "owner",
          role: "owner",
          token_hash: digest(token),
        })
        .execute();
      return organization.id;
    });
    return { token, created: true, organizationId };
  }

  /** The principal of a token, or null. */
  async principalOf(token: string): Promise<Principal | null> {
    const row = await this.#db
      .selectFrom("api_tokens")
      .select(["id", "name", "role", "organization_id"])
      .where("token_hash", "=", digest(token))
      .where((where) => where.or([where("expires_at", "is", null), where("expires_at", ">", sql<Date>`now()`)]))
      .executeTakeFirst();
    if (!row || !roles.includes(row.role as Role)) return null;
    return { id: row.id, name: row.name, organizationId: row.organization_id, role: row.role as Role };
  }

  /** A code that opens the dashboard once, within ten minutes, as the given principal. */
  async createLoginCode(principal: Principal): Promise<string> {
    const code = secret("once");
    await this.#db
      .deleteFrom("login_links")
      .where("expires_at", "<", new Date(Date.now() - dayMs))
      .execute();
    await this.#db
      .insertInto("login_links")
      .values({
        code_hash: digest(code),
        organization_id: principal.organizationId,
        token_id: principal.id,
        expires_at: new Date(Date.now() + loginLinkMinutes * 60_000),
      })
      .execute();
    return code;
  }

  /** Turns a login code into a session token; throws `unauthenticated` when it is unknown, used or expired. */
  async redeemLoginCode(code: string): Promise<string> {
    const session = secret("tss");
    await this.#db.transaction().execute(async (trx) => {
      const link = await trx
        .updateTable("login_links")
        .set({ used_at: new Date() })
        .where("code_hash", "=", digest(code))
        .where("used_at", "is", null)
        .where("expires_at", ">", new Date())
        .returning(["token_id"])
        .executeTakeFirst();
      const owner = link
        ? await trx.selectFrom("api_tokens").selectAll().where("id", "=", link.token_id).executeTakeFirst()
        : undefined;
      if (!owner) {
        throw new TsdevError("unauthenticated", {
          message: "this login link was used already or has expired",
          fix: "get a new one with `npx tsdev open`, or start `npx tsdev serve` again",
        });
      }
      await trx
        .insertInto("api_tokens")
        .values({
          id: newId("tok"),
          organization_id: owner.organization_id,
          name: `${owner.name} in a browser`,
          role: owner.role,
          token_hash: digest(session),
          expires_at: new Date(Date.now() + sessionDays * dayMs),
        })
        .execute();
    });
    return session;
  }

  /** A token that may only send telemetry of one environment; derived, so it needs no row and never changes. */
  ingestToken(scope: IngestScope): string {
    const payload = Buffer.from(JSON.stringify(IngestScope.parse(scope))).toString("base64url");
    return `tsi_${payload}.${this.#sign(payload)}`;
  }

  /** The scope of an ingest token, or null when its signature is wrong. */
  ingestScope(token: string): IngestScope | null {
    const match = /^tsi_([\w-]+)\.([\w-]+)$/.exec(token);
    if (!match?.[1] || !match[2]) return null;
    const expected = Buffer.from(this.#sign(match[1]));
    const given = Buffer.from(match[2]);
    if (expected.length !== given.length || !timingSafeEqual(expected, given)) return null;
    return IngestScope.parse(JSON.parse(Buffer.from(match[1], "base64url").toString("utf8")));
  }

  #sign(payload: string): string {
    return createHmac("sha256", this.#ingestKey).update(payload).digest("base64url");
  }
}

/** The token of an `Authorization: Bearer` (or Basic, as git sends it) header, or null. */
export function tokenFrom(authorization: string | undefined): string | null {
  if (!authorization) return null;
  const bearer = /^bearer\s+(\S+)$/i.exec(authorization);
  if (bearer?.[1]) return bearer[1];
  const basic = /^basic\s+(\S+)$/i.exec(authorization);
  if (!basic?.[1]) return null;
  const [user = "", password = ""] = Buffer.from(basic[1], "base64").toString("utf8").split(":", 2);
  return password || user || null;
}
