// Variables: an environment's configuration, sealed at rest; secret ones are redacted everywhere and never reach a proof.
import type { Kysely } from "kysely";
import { z } from "zod";
import { TsdevError } from "../../sdk/errors.ts";
import type { MasterKey } from "../secrets/master-key.ts";
import type { Redactor } from "../secrets/redactor.ts";
import type { DatabaseSchema } from "../store/schema.ts";

/** Names that the platform sets itself. */
const reserved = /^(PORT|DATABASE_URL|NODE_OPTIONS|OTEL_.*|TSDEV_.*)$/;

export const VariableName = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, "use letters, digits and underscores")
  .refine((name) => !reserved.test(name), "this name is set by the platform");

export const VariableValue = z
  .string()
  .max(32_768)
  .refine((value) => !value.includes("\0"), "a value cannot hold a zero byte");

export interface Variable {
  name: string;
  value: string;
  secret: boolean;
}

export class Variables {
  readonly #db: Kysely<DatabaseSchema>;
  readonly #masterKey: MasterKey;
  readonly #redactor: Redactor;

  constructor(parts: { db: Kysely<DatabaseSchema>; masterKey: MasterKey; redactor: Redactor }) {
    this.#db = parts.db;
    this.#masterKey = parts.masterKey;
    this.#redactor = parts.redactor;
  }

  async set(environment: { id: string; organization_id: string }, variables: Variable[]): Promise<void> {
    if (variables.length === 0) {
      throw new TsdevError("invalid_input", {
        message: "no variable was given",
        fix: "give at least one NAME=VALUE",
        path: "variables",
      });
    }
    await this.#db.transaction().execute(async (trx) => {
      for (const { name, value, secret } of variables) {
        const sealed = this.#masterKey.seal(value, `${environment.id}:${name}`);
        await trx
          .insertInto("environment_variables")
          .values({
            environment_id: environment.id,
            organization_id: environment.organization_id,
            name,
            value_encrypted: sealed,
            secret,
          })
          .onConflict((conflict) =>
            conflict
              .columns(["environment_id", "name"])
              .doUpdateSet({ value_encrypted: sealed, secret, updated_at: new Date() }),
          )
          .execute();
      }
    });
    await this.all(environment.id);
  }

  /** Every variable with its value, for instances; values of secrets are made known to the redactor. */
  async all(environmentId: string): Promise<Variable[]> {
    const rows = await this.#db
      .selectFrom("environment_variables")
      .selectAll()
      .where("environment_id", "=", environmentId)
      .orderBy("name")
      .execute();
    const variables = rows.map((row) => ({
      name: row.name,
      value: this.#masterKey.open(row.value_encrypted, `${environmentId}:${row.name}`),
      secret: row.secret,
    }));
    this.#redactor.learn(variables.filter((variable) => variable.secret).map((variable) => variable.value));
    return variables;
  }

  /** Makes the secrets of every environment known to the redactor; called once at start. */
  async learnSecrets(): Promise<void> {
    const environments = await this.#db
      .selectFrom("environment_variables")
      .select("environment_id")
      .distinct()
      .execute();
    for (const { environment_id } of environments) await this.all(environment_id);
  }

  async remove(environmentId: string, name: string): Promise<boolean> {
    const result = await this.#db
      .deleteFrom("environment_variables")
      .where("environment_id", "=", environmentId)
      .where("name", "=", name)
      .executeTakeFirst();
    return result.numDeletedRows > 0n;
  }
}
