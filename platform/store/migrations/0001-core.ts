// Migration 1: organizations, projects, deployments, pull requests, findings, suggestions, audit log.
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  const now = sql`now()`;

  await db.schema
    .createTable("organizations")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("name", "text", (c) => c.notNull())
    .addColumn("created_at", "timestamptz", (c) => c.notNull().defaultTo(now))
    .execute();

  await db.schema
    .createTable("api_tokens")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("organization_id", "text", (c) => c.notNull().references("organizations.id"))
    .addColumn("name", "text", (c) => c.notNull())
    .addColumn("role", "text", (c) => c.notNull())
    .addColumn("token_hash", "text", (c) => c.notNull().unique())
    .addColumn("created_at", "timestamptz", (c) => c.notNull().defaultTo(now))
    .execute();

  await db.schema
    .createTable("login_links")
    .addColumn("code_hash", "text", (c) => c.primaryKey())
    .addColumn("organization_id", "text", (c) => c.notNull().references("organizations.id"))
    .addColumn("token_id", "text", (c) => c.notNull().references("api_tokens.id"))
    .addColumn("expires_at", "timestamptz", (c) => c.notNull())
    .addColumn("used_at", "timestamptz")
    .execute();

  await db.schema
    .createTable("projects")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("organization_id", "text", (c) => c.notNull().references("organizations.id"))
    .addColumn("name", "text", (c) => c.notNull())
    .addColumn("default_branch", "text", (c) => c.notNull())
    .addColumn("git_host", "text", (c) => c.notNull())
    .addColumn("git_location", "text", (c) => c.notNull())
    .addColumn("settings", "jsonb", (c) => c.notNull().defaultTo(sql`'{}'::jsonb`))
    .addColumn("created_at", "timestamptz", (c) => c.notNull().defaultTo(now))
    .addUniqueConstraint("projects_name_unique", ["organization_id", "name"])
    .execute();

  await db.schema
    .createTable("environments")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("organization_id", "text", (c) => c.notNull().references("organizations.id"))
    .addColumn("project_id", "text", (c) => c.notNull().references("projects.id"))
    .addColumn("name", "text", (c) => c.notNull())
    .addColumn("branch", "text", (c) => c.notNull())
    .addColumn("replicas", "integer", (c) => c.notNull().defaultTo(1))
    .addColumn("database_name", "text")
    .addColumn("created_at", "timestamptz", (c) => c.notNull().defaultTo(now))
    .addUniqueConstraint("environments_name_unique", ["project_id", "name"])
    .execute();

  await db.schema
    .createTable("environment_variables")
    .addColumn("environment_id", "text", (c) => c.notNull().references("environments.id"))
    .addColumn("organization_id", "text", (c) => c.notNull().references("organizations.id"))
    .addColumn("name", "text", (c) => c.notNull())
    .addColumn("value_encrypted", "bytea", (c) => c.notNull())
    .addColumn("secret", "boolean", (c) => c.notNull())
    .addColumn("updated_at", "timestamptz", (c) => c.notNull().defaultTo(now))
    .addPrimaryKeyConstraint("environment_variables_pkey", ["environment_id", "name"])
    .execute();

  await db.schema
    .createTable("pushes")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("organization_id", "text", (c) => c.notNull().references("organizations.id"))
    .addColumn("project_id", "text", (c) => c.notNull().references("projects.id"))
    .addColumn("branch", "text", (c) => c.notNull())
    .addColumn("before_commit", "text")
    .addColumn("after_commit", "text", (c) => c.notNull())
    .addColumn("pushed_by", "text", (c) => c.notNull())
    .addColumn("received_at", "timestamptz", (c) => c.notNull().defaultTo(now))
    .execute();
  // Whether a push is new is decided against the latest one of its branch, under a lock on the project's row.
  await sql`CREATE INDEX pushes_latest ON pushes (project_id, branch, received_at DESC)`.execute(db);

  await db.schema
    .createTable("releases")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("organization_id", "text", (c) => c.notNull().references("organizations.id"))
    .addColumn("project_id", "text", (c) => c.notNull().references("projects.id"))
    .addColumn("service", "text", (c) => c.notNull())
    .addColumn("commit", "text", (c) => c.notNull())
    .addColumn("folder", "text", (c) => c.notNull())
    .addColumn("config", "jsonb", (c) => c.notNull())
    .addColumn("lockfile_digest", "text", (c) => c.notNull())
    .addColumn("created_at", "timestamptz", (c) => c.notNull().defaultTo(now))
    .addUniqueConstraint("releases_commit_unique", ["project_id", "commit"])
    .execute();

  await db.schema
    .createTable("deployments")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("organization_id", "text", (c) => c.notNull().references("organizations.id"))
    .addColumn("project_id", "text", (c) => c.notNull().references("projects.id"))
    .addColumn("environment_id", "text", (c) => c.notNull().references("environments.id"))
    .addColumn("service", "text", (c) => c.notNull())
    .addColumn("commit", "text", (c) => c.notNull())
    .addColumn("commit_message", "text", (c) => c.notNull())
    .addColumn("cause", "text", (c) => c.notNull())
    .addColumn("push_id", "text", (c) => c.references("pushes.id"))
    .addColumn("rollback_of", "text", (c) => c.references("deployments.id"))
    .addColumn("release_id", "text", (c) => c.references("releases.id"))
    .addColumn("status", "text", (c) => c.notNull())
    .addColumn("reason", "jsonb")
    .addColumn("created_at", "timestamptz", (c) => c.notNull().defaultTo(now))
    .addColumn("build_started_at", "timestamptz")
    .addColumn("build_finished_at", "timestamptz")
    .addColumn("live_at", "timestamptz")
    .addColumn("ended_at", "timestamptz")
    .execute();
  await sql`CREATE UNIQUE INDEX deployments_one_per_push ON deployments (push_id, environment_id) WHERE push_id IS NOT NULL`.execute(
    db,
  );
  await sql`CREATE UNIQUE INDEX deployments_one_live ON deployments (environment_id) WHERE status = 'live'`.execute(db);
  await sql`CREATE INDEX deployments_by_project ON deployments (project_id, created_at DESC)`.execute(db);

  await db.schema
    .createTable("pull_requests")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("organization_id", "text", (c) => c.notNull().references("organizations.id"))
    .addColumn("project_id", "text", (c) => c.notNull().references("projects.id"))
    .addColumn("number", "integer", (c) => c.notNull())
    .addColumn("title", "text", (c) => c.notNull())
    .addColumn("body", "text", (c) => c.notNull())
    .addColumn("head_branch", "text", (c) => c.notNull())
    .addColumn("base_branch", "text", (c) => c.notNull())
    .addColumn("draft", "boolean", (c) => c.notNull())
    .addColumn("author", "text", (c) => c.notNull())
    .addColumn("state", "text", (c) => c.notNull())
    .addColumn("merge_commit", "text")
    .addColumn("created_at", "timestamptz", (c) => c.notNull().defaultTo(now))
    .addColumn("updated_at", "timestamptz", (c) => c.notNull().defaultTo(now))
    .addColumn("closed_at", "timestamptz")
    .addUniqueConstraint("pull_requests_number_unique", ["project_id", "number"])
    .execute();
  await sql`CREATE UNIQUE INDEX pull_requests_one_open ON pull_requests (project_id, head_branch) WHERE state = 'open'`.execute(
    db,
  );

  await db.schema
    .createTable("pull_request_comments")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("organization_id", "text", (c) => c.notNull().references("organizations.id"))
    .addColumn("pull_request_id", "text", (c) => c.notNull().references("pull_requests.id"))
    .addColumn("author", "text", (c) => c.notNull())
    .addColumn("body", "text", (c) => c.notNull())
    .addColumn("dedupe_key", "text")
    .addColumn("created_at", "timestamptz", (c) => c.notNull().defaultTo(now))
    .addUniqueConstraint("pull_request_comments_dedupe", ["pull_request_id", "dedupe_key"])
    .execute();

  await db.schema
    .createTable("findings")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("organization_id", "text", (c) => c.notNull().references("organizations.id"))
    .addColumn("project_id", "text", (c) => c.notNull().references("projects.id"))
    .addColumn("environment_id", "text", (c) => c.notNull().references("environments.id"))
    .addColumn("detector", "text", (c) => c.notNull())
    .addColumn("fingerprint", "text", (c) => c.notNull())
    .addColumn("deployment_id", "text")
    .addColumn("finding", "jsonb", (c) => c.notNull())
    .addColumn("first_seen", "timestamptz", (c) => c.notNull().defaultTo(now))
    .addColumn("last_seen", "timestamptz", (c) => c.notNull().defaultTo(now))
    .addUniqueConstraint("findings_once", ["environment_id", "fingerprint"])
    .execute();

  await db.schema
    .createTable("rejections")
    .addColumn("organization_id", "text", (c) => c.notNull().references("organizations.id"))
    .addColumn("project_id", "text", (c) => c.notNull().references("projects.id"))
    .addColumn("environment_id", "text", (c) => c.notNull().references("environments.id"))
    .addColumn("detector", "text", (c) => c.notNull())
    .addColumn("fingerprint", "text", (c) => c.notNull())
    .addColumn("rejection", "jsonb", (c) => c.notNull())
    .addColumn("last_seen", "timestamptz", (c) => c.notNull().defaultTo(now))
    .addPrimaryKeyConstraint("rejections_pkey", ["environment_id", "fingerprint"])
    .execute();

  await db.schema
    .createTable("suggestions")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("organization_id", "text", (c) => c.notNull().references("organizations.id"))
    .addColumn("project_id", "text", (c) => c.notNull().references("projects.id"))
    .addColumn("environment_id", "text", (c) => c.notNull().references("environments.id"))
    .addColumn("finding_id", "text", (c) => c.notNull().references("findings.id"))
    .addColumn("detector", "text", (c) => c.notNull())
    .addColumn("fingerprint", "text", (c) => c.notNull())
    .addColumn("state", "text", (c) => c.notNull())
    .addColumn("base_commit", "text", (c) => c.notNull())
    .addColumn("branch", "text")
    .addColumn("patch", "jsonb")
    .addColumn("declined", "jsonb")
    .addColumn("proof", "jsonb")
    .addColumn("pull_request", "jsonb")
    .addColumn("verdict", "jsonb")
    .addColumn("dismissed_reason", "text")
    .addColumn("snoozed_until", "timestamptz")
    .addColumn("created_at", "timestamptz", (c) => c.notNull().defaultTo(now))
    .addColumn("updated_at", "timestamptz", (c) => c.notNull().defaultTo(now))
    .addUniqueConstraint("suggestions_once", ["environment_id", "fingerprint"])
    .execute();

  await db.schema
    .createTable("audit_log")
    .addColumn("id", "bigserial", (c) => c.primaryKey())
    .addColumn("organization_id", "text", (c) => c.notNull())
    .addColumn("principal_id", "text", (c) => c.notNull())
    .addColumn("principal_name", "text", (c) => c.notNull())
    .addColumn("operation", "text", (c) => c.notNull())
    .addColumn("face", "text", (c) => c.notNull())
    .addColumn("input", "jsonb")
    .addColumn("outcome", "text", (c) => c.notNull())
    .addColumn("error_code", "text")
    .addColumn("at", "timestamptz", (c) => c.notNull().defaultTo(now))
    .execute();
}
