// Identity on a real Postgres: the owner's token over kills, login codes once, ingest tokens that cannot be forged.
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Principal } from "../../sdk/operation.ts";
import { MasterKey } from "../secrets/master-key.ts";
import { type TemporaryPostgres, temporaryPostgres } from "../store/postgres-fixture.ts";
import { openStore, type Store } from "../store/store.ts";
import { Identity, tokenFrom } from "./identity.ts";

let postgres: TemporaryPostgres;
let store: Store;
let identity: Identity;
let directory: string;
beforeAll(async () => {
  postgres = await temporaryPostgres();
  store = await openStore({ url: postgres.url });
  identity = new Identity(store.db, new MasterKey(Buffer.alloc(32, 1)));
});
afterAll(async () => {
  await store?.close();
  await postgres?.[Symbol.asyncDispose]();
});
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "tsdev-identity-"));
  return () => rm(directory, { recursive: true, force: true });
});
const file = () => join(directory, "owner-token");

describe("the owner's token", () => {
  test("is made once, kept for its user alone, and told at its first start only", async () => {
    const first = await identity.ensureOwner(directory);
    expect(first.created).toBe(true);
    expect((await stat(file())).mode & 0o777).toBe(0o600);
    expect((await readFile(file(), "utf8")).trim()).toBe(first.token);
    expect(await identity.ensureOwner(directory)).toEqual({ ...first, created: false });
    expect(await identity.principalOf(first.token)).toMatchObject({
      role: "owner",
      organizationId: first.organizationId,
    });
  });

  test("is the same, and told, after a kill between the file and the row", async () => {
    await writeFile(file(), "tsd_made_before_the_kill\n", { mode: 0o600 });
    expect(await identity.ensureOwner(directory)).toMatchObject({ token: "tsd_made_before_the_kill", created: true });
    expect(await identity.principalOf("tsd_made_before_the_kill")).not.toBeNull();
  });

  test("is for its user alone also where a kill left a half-written file for everyone", async () => {
    await writeFile(`${file()}.new`, "tsd_ha");
    await chmod(`${file()}.new`, 0o666);
    await identity.ensureOwner(directory);
    expect((await stat(file())).mode & 0o777).toBe(0o600);
  });

  test("is written where the file is empty", async () => {
    await writeFile(file(), "\n");
    const { token } = await identity.ensureOwner(directory);
    expect((await readFile(file(), "utf8")).trim()).toBe(token);
  });

  test("is not stored in the database", async () => {
    const { token } = await identity.ensureOwner(directory);
    const rows = await store.db.selectFrom("api_tokens").selectAll().execute();
    expect(JSON.stringify(rows)).not.toContain(token);
  });
});

describe("a login code", () => {
  let owner: Principal;
  beforeEach(async () => {
    const { token } = await identity.ensureOwner(directory);
    owner = (await identity.principalOf(token))!;
  });

  test("opens a session of the same principal, once", async () => {
    const code = await identity.createLoginCode(owner);
    const session = await identity.redeemLoginCode(code);
    expect(await identity.principalOf(session)).toMatchObject({ organizationId: owner.organizationId, role: "owner" });
    await expect(identity.redeemLoginCode(code)).rejects.toMatchObject({ code: "unauthenticated" });
  });

  test("redeemed many times at the same moment opens one session", async () => {
    const code = await identity.createLoginCode(owner);
    const results = await Promise.allSettled(Array.from({ length: 10 }, () => identity.redeemLoginCode(code)));
    expect(results.filter((one) => one.status === "fulfilled")).toHaveLength(1);
  });

  test("that has expired or is none opens nothing", async () => {
    const code = await identity.createLoginCode(owner);
    await store.db
      .updateTable("login_links")
      .set({ expires_at: new Date(Date.now() - 1000) })
      .execute();
    await expect(identity.redeemLoginCode(code)).rejects.toMatchObject({ code: "unauthenticated" });
    await expect(identity.redeemLoginCode("once_none")).rejects.toMatchObject({ code: "unauthenticated" });
  });

  test("opens a session that ends", async () => {
    const session = await identity.redeemLoginCode(await identity.createLoginCode(owner));
    await store.db
      .updateTable("api_tokens")
      .set({ expires_at: new Date(Date.now() - 1000) })
      .where("expires_at", "is not", null)
      .execute();
    expect(await identity.principalOf(session)).toBeNull();
  });
});

describe("an ingest token", () => {
  const scope = { organizationId: "org_a", project: "shop", environment: "production" };

  test("says whose telemetry it is, and is no token of the API", async () => {
    const token = identity.ingestToken(scope);
    expect(identity.ingestScope(token)).toEqual(scope);
    expect(identity.ingestToken(scope)).toBe(token);
    expect(await identity.principalOf(token)).toBeNull();
  });

  test("altered, forged or of another key is refused", () => {
    const token = identity.ingestToken(scope);
    const [head = "", signature = ""] = token.split(".");
    const other = Buffer.from(JSON.stringify({ ...scope, organizationId: "org_b" })).toString("base64url");
    const elsewhere = new Identity(store.db, new MasterKey(Buffer.alloc(32, 2))).ingestToken(scope);
    const forged = [
      `tsi_${other}.${signature}`,
      `${head}.${"A".repeat(signature.length)}`,
      `${head}.`,
      `${head}.A`,
      head,
      "",
      elsewhere,
    ];
    for (const one of forged) expect(identity.ingestScope(one)).toBeNull();
  });
});

test("a token is read from Bearer, and from Basic as git sends it", () => {
  const basic = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`;
  expect(tokenFrom("Bearer tsd_1")).toBe("tsd_1");
  expect(tokenFrom(basic("x:tsd_1"))).toBe("tsd_1");
  expect(tokenFrom(basic("tsd_1:"))).toBe("tsd_1");
  for (const none of [undefined, "", "Bearer", "Digest x", basic("")]) expect(tokenFrom(none)).toBeNull();
});
