// The Postgres server as a proof uses it: throw-away databases, a throw-away role, and a lock that says the proof lives.
//
// Invariants:
// 1. Everything a proof makes on the server is named `proof_<digest>_…`, the role `proof_<digest>`.
// 2. The proof holds the advisory lock of its digest as long as it lives; whoever gets that lock may drop all of it.
// 3. The role is made for this proof, so the app under test never holds a credential of the environment.
import { createHash, randomBytes } from "node:crypto";
import pg from "pg";

const prefixPattern = "^proof_[0-9a-f]{12}";
const quoted = pg.escapeIdentifier;

/** Opens a client whose lost connection is an error of the next query, not of the process. */
export async function openClient(connectionString: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString, connectionTimeoutMillis: 10_000, application_name: "tsdev-proof" });
  client.on("error", () => {});
  await client.connect();
  return client;
}

export class ProofServer {
  readonly #adminUrl: string;
  readonly #admin: pg.Client;
  readonly #prefix: string;
  readonly #password = randomBytes(18).toString("base64url");
  readonly #clients = new Set<pg.Client>();
  #settingUp: Promise<unknown> = Promise.resolve();

  private constructor(adminUrl: string, admin: pg.Client, prefix: string) {
    this.#adminUrl = adminUrl;
    this.#admin = admin;
    this.#prefix = prefix;
  }

  /** Takes the proof's lock and makes its role; what an earlier, dead attempt of the same proof left is dropped first. */
  static async open(adminUrl: string, proofId: string): Promise<ProofServer> {
    const prefix = `proof_${createHash("sha256").update(proofId).digest("hex").slice(0, 12)}`;
    const admin = await openClient(adminUrl);
    try {
      await admin.query("SELECT pg_advisory_lock(hashtextextended($1, 0))", [prefix]);
      await dropEverythingOf(admin, prefix);
      const server = new ProofServer(adminUrl, admin, prefix);
      await admin.query(`CREATE ROLE ${quoted(prefix)} LOGIN PASSWORD ${pg.escapeLiteral(server.#password)}`);
      return server;
    } catch (error) {
      await admin.end().catch(() => {});
      throw error;
    }
  }

  get address(): { host: string; port: number } {
    const url = new URL(this.#adminUrl);
    return { host: url.hostname, port: Number(url.port || 5432) };
  }

  get role(): string {
    return this.#prefix;
  }

  name(part: string): string {
    return `${this.#prefix}_${part}`;
  }

  /** URL for an app: the proof's role, by way of a proxy on this machine or straight to the server. */
  appUrl(database: string, proxyPort?: number): string {
    const { host, port } = this.address;
    const place = proxyPort === undefined ? `${host}:${port}` : `127.0.0.1:${proxyPort}`;
    return `postgresql://${this.#prefix}:${this.#password}@${place}/${database}`;
  }

  /** A superuser client in one of the proof's databases; closed with the server. */
  async connect(database: string): Promise<pg.Client> {
    const url = new URL(this.#adminUrl);
    url.pathname = `/${database}`;
    const client = await openClient(url.href);
    this.#clients.add(client);
    return client;
  }

  async disconnect(client: pg.Client): Promise<void> {
    this.#clients.delete(client);
    await client.end().catch(() => {});
  }

  async createEmpty(part: string): Promise<string> {
    return this.#create(part, "");
  }

  /** A copy of a frozen template; file_copy is the quickest way from some ten megabytes up. */
  async clone(template: string, part: string): Promise<string> {
    return this.#create(part, `TEMPLATE ${quoted(template)} STRATEGY file_copy`);
  }

  async #create(part: string, how: string): Promise<string> {
    const name = this.name(part);
    const work = this.#settingUp.then(async () => {
      await this.#admin.query(`DROP DATABASE IF EXISTS ${quoted(name)} WITH (FORCE)`);
      await this.#admin.query(`CREATE DATABASE ${quoted(name)} OWNER ${quoted(this.#prefix)} ${how}`);
      await this.#admin.query(`REVOKE ALL ON DATABASE ${quoted(name)} FROM PUBLIC`);
      // Logical decoding shows a commit only once it is flushed.
      await this.#admin.query(`ALTER DATABASE ${quoted(name)} SET synchronous_commit = on`);
    });
    this.#settingUp = work.catch(() => {});
    await work;
    return name;
  }

  /** Makes a database a template: a copy of it then never waits for a connection to close. */
  async freeze(name: string): Promise<void> {
    await this.#admin.query(`ALTER DATABASE ${quoted(name)} IS_TEMPLATE true ALLOW_CONNECTIONS false`);
    await endSessions(this.#admin, name);
  }

  async drop(name: string): Promise<void> {
    const work = this.#settingUp.then(() => this.#admin.query(`DROP DATABASE IF EXISTS ${quoted(name)} WITH (FORCE)`));
    this.#settingUp = work.catch(() => {});
    await work;
  }

  async setting(name: string): Promise<string> {
    const { rows } = await this.#admin.query<{ value: string }>("SELECT current_setting($1) AS value", [name]);
    return rows[0]?.value ?? "";
  }

  /** Process ids of the sessions that apps hold in these databases. */
  async backends(databases: readonly string[]): Promise<number[]> {
    const { rows } = await this.#admin.query<{ pid: number }>(
      "SELECT pid FROM pg_stat_activity WHERE datname = ANY($1) AND usename = $2",
      [databases, this.#prefix],
    );
    return rows.map((row) => row.pid);
  }

  /** Process id of the proof's own session. */
  async ownBackend(): Promise<number> {
    const { rows } = await this.#admin.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
    return rows[0]!.pid;
  }

  /** Drops all of the proof and lets go of its lock. */
  async close(): Promise<void> {
    await this.#settingUp.catch(() => {});
    await Promise.all([...this.#clients].map((client) => this.disconnect(client)));
    try {
      await dropEverythingOf(this.#admin, this.#prefix);
    } finally {
      await this.#admin.end().catch(() => {});
    }
  }
}

/** Drops databases, slots and roles of proofs that no longer live. Returns how many proofs that were. */
export async function dropDeadProofs(adminUrl: string): Promise<number> {
  const admin = await openClient(adminUrl);
  try {
    const { rows } = await admin.query<{ prefix: string }>(
      `SELECT DISTINCT substring(name FROM $1) AS prefix FROM (
         SELECT datname AS name FROM pg_database UNION ALL SELECT rolname FROM pg_roles
         UNION ALL SELECT slot_name FROM pg_replication_slots
       ) AS names WHERE name ~ $1`,
      [prefixPattern],
    );
    let dropped = 0;
    for (const { prefix } of rows) {
      // Held: that proof lives, in this or in another control plane on the same server.
      if (!(await lockSoon(admin, prefix))) continue;
      await dropEverythingOf(admin, prefix);
      await admin.query("SELECT pg_advisory_unlock(hashtextextended($1, 0))", [prefix]);
      dropped += 1;
    }
    return dropped;
  } finally {
    await admin.end();
  }
}

/** Takes the lock of a proof; a killed prover's session needs a moment to notice. */
async function lockSoon(admin: pg.Client, prefix: string): Promise<boolean> {
  try {
    await admin.query("SET lock_timeout = '2s'");
    await admin.query("SELECT pg_advisory_lock(hashtextextended($1, 0))", [prefix]);
    return true;
  } catch (error) {
    const lockNotAvailable = "55P03";
    if ((error as { code?: string }).code === lockNotAvailable) return false;
    throw error;
  } finally {
    await admin.query("RESET lock_timeout");
  }
}

async function dropEverythingOf(admin: pg.Client, prefix: string): Promise<void> {
  const like = `${prefix.replaceAll("_", "\\_")}%`;
  const databases = await admin.query<{ name: string }>(
    "SELECT datname AS name FROM pg_database WHERE datname LIKE $1",
    [like],
  );
  for (const { name } of databases.rows) {
    await admin.query(`ALTER DATABASE ${quoted(name)} IS_TEMPLATE false ALLOW_CONNECTIONS false`);
    await endSessions(admin, name);
    await admin.query(
      `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
       WHERE database = $1 AND NOT temporary AND NOT active`,
      [name],
    );
    await admin.query(`DROP DATABASE IF EXISTS ${quoted(name)} WITH (FORCE)`);
  }
  await admin.query(`DROP ROLE IF EXISTS ${quoted(prefix)}`);
}

async function endSessions(admin: pg.Client, database: string): Promise<void> {
  // A temporary slot ends with its session.
  await admin.query("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1", [database]);
}
