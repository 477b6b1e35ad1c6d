// Databases for apps: one role and one database for each environment, on the state server.
import { createHmac } from "node:crypto";
import pg from "pg";
import { TsdevError } from "../../sdk/errors.ts";

const comment = "made by tsdev for an app";

/**
 * Makes and drops databases of apps. A role's password is derived from `key` and the name, so that nothing is stored and
 * asking again gives the same address. Every method is safe to repeat and to run in two processes at once.
 */
export class AppDatabases {
  readonly #adminUrl: string;
  readonly #key: string;

  /**
   * `adminUrl`: a user that may create roles and databases. `key`: secret, at least 16 characters, the same over
   * restarts: another key changes every password at the next `ensure`.
   */
  constructor(options: { adminUrl: string; key: string }) {
    if (options.key.length < 16) {
      throw new TsdevError("invalid_config", {
        message: "the key for passwords of app databases is too short",
        fix: "give at least 16 random characters",
      });
    }
    this.#adminUrl = options.adminUrl;
    this.#key = options.key;
  }

  /** The address that `ensure` gives, whether or not the database exists. */
  url(name: string): string {
    check(name);
    const url = new URL(this.#adminUrl);
    url.username = name;
    url.password = this.#password(name);
    url.pathname = `/${name}`;
    return url.href;
  }

  /** Makes the role and the database where they are missing. The role owns its database and can connect to no other's. */
  async ensure(name: string): Promise<{ url: string }> {
    const url = this.url(name);
    const [role, password] = [pg.escapeIdentifier(name), pg.escapeLiteral(this.#password(name))];
    await this.#locked(name, async (client) => {
      const roles = await client.query("SELECT 1 FROM pg_roles WHERE rolname = $1", [name]);
      const verb = roles.rows.length === 0 ? "CREATE" : "ALTER";
      await client.query(`${verb} ROLE ${role} LOGIN PASSWORD ${password}`);
      const databases = await client.query("SELECT 1 FROM pg_database WHERE datname = $1", [name]);
      if (databases.rows.length === 0) {
        // An administrator that is not a superuser may give a database only to a role that it is a member of.
        await client.query(`GRANT ${role} TO CURRENT_USER`).catch(ignoreSuperuser);
        await client.query(`CREATE DATABASE ${role} OWNER ${role}`);
      }
      await client.query(`REVOKE ALL ON DATABASE ${role} FROM PUBLIC`);
      await client.query(`COMMENT ON DATABASE ${role} IS ${pg.escapeLiteral(comment)}`);
    });
    return { url };
  }

  /** Drops the database, connected or not, and its role. Nothing happens where they are gone. */
  async drop(name: string): Promise<void> {
    check(name);
    const role = pg.escapeIdentifier(name);
    await this.#locked(name, async (client) => {
      const ours = await client.query(
        "SELECT shobj_description(oid, 'pg_database') AS comment FROM pg_database WHERE datname = $1",
        [name],
      );
      if (ours.rows.length > 0 && ours.rows[0].comment !== comment) {
        throw new TsdevError("conflict", {
          message: `the database "${name}" was not made for an app`,
          fix: "drop it by hand if that is meant",
        });
      }
      await client.query(`DROP DATABASE IF EXISTS ${role} WITH (FORCE)`);
      await client.query(`DROP ROLE IF EXISTS ${role}`);
    });
  }

  /** The databases made by `ensure`, sorted. */
  async names(): Promise<string[]> {
    return this.#connected(async (client) => {
      const { rows } = await client.query(
        `SELECT datname FROM pg_database WHERE shobj_description(oid, 'pg_database') = $1 ORDER BY datname`,
        [comment],
      );
      return rows.map((row: { datname: string }) => row.datname);
    });
  }

  #password(name: string): string {
    return createHmac("sha256", this.#key).update(`app-database:${name}`).digest("base64url");
  }

  /** One process at a time changes a name: Postgres has no CREATE DATABASE IF NOT EXISTS. */
  #locked(name: string, work: (client: pg.Client) => Promise<void>): Promise<void> {
    return this.#connected(async (client) => {
      await client.query("SELECT pg_advisory_lock(hashtext('tsdev app database'), hashtext($1))", [name]);
      await work(client);
    });
  }

  async #connected<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = new pg.Client({ connectionString: this.#adminUrl, connectionTimeoutMillis: 10_000 });
    client.on("error", () => {});
    try {
      await client.connect();
      return await work(client);
    } catch (cause) {
      if (TsdevError.is(cause)) throw cause;
      throw new TsdevError("unavailable", {
        message: `the database server refused: ${cause instanceof Error ? cause.message : String(cause)}`,
        fix: "check that the server runs and that DATABASE_URL's user may create roles and databases",
        cause,
      });
    } finally {
      // The lock ends with the connection.
      await client.end().catch(() => {});
    }
  }
}

function check(name: string): void {
  // Drivers disagree on how other characters stand in an address, and Postgres cuts longer names.
  if (!/^[A-Za-z0-9_-]{1,63}$/.test(name)) {
    throw new TsdevError("invalid_input", {
      message: `"${name.slice(0, 80)}" cannot name a database`,
      fix: "use 1 to 63 letters, digits, dashes and underscores",
      path: "name",
    });
  }
}

function ignoreSuperuser(error: { code?: string }): void {
  // A superuser needs no membership, and a membership that exists is no fault.
  if (error.code !== "0LP01" && error.code !== "42501") throw error;
}
