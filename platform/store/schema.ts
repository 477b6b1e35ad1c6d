// The tables of the control plane's Postgres as Kysely sees them; migrations/ makes them.
import type { ColumnType, Generated, JSONColumnType } from "kysely";
import type { ErrorShape } from "../../sdk/errors.ts";

type Time = ColumnType<Date, Date | string | undefined, Date | string>;
type NullableTime = ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
type Json<T> = JSONColumnType<T extends object ? T : never, string, string>;
type NullableJson<T> = ColumnType<T | null, string | null | undefined, string | null>;

export interface OrganizationsTable {
  id: string;
  name: string;
  created_at: Time;
}

export interface ApiTokensTable {
  id: string;
  organization_id: string;
  name: string;
  role: string;
  /** SHA-256 of the token, hexadecimal; the token itself is never stored here. */
  token_hash: string;
  /** Null where it never ends. */
  expires_at: NullableTime;
  created_at: Time;
}

export interface LoginLinksTable {
  code_hash: string;
  organization_id: string;
  token_id: string;
  expires_at: Time;
  used_at: NullableTime;
}

export interface ProjectsTable {
  id: string;
  organization_id: string;
  name: string;
  default_branch: string;
  /** `local` or `github`; the location's meaning is the Git host's. */
  git_host: string;
  git_location: string;
  /** `ProjectSettings` of platform/projects/project.ts; absent keys have their defaults. */
  settings: ColumnType<object, string | undefined, string>;
  created_at: Time;
}

export interface EnvironmentsTable {
  id: string;
  organization_id: string;
  project_id: string;
  name: string;
  branch: string;
  replicas: number;
  /** The app's database on the state server, once the app asked for one. */
  database_name: string | null;
  /** `TelemetrySettings` of platform/telemetry/telemetry-settings.ts; absent keys have their defaults. */
  telemetry: ColumnType<object, string | undefined, string>;
  created_at: Time;
}

export interface EnvironmentVariablesTable {
  environment_id: string;
  organization_id: string;
  name: string;
  /** AES-256-GCM under the master key; never selected by an operation that answers a face. */
  value_encrypted: Buffer;
  /** Secret values are redacted wherever they would appear and never reach a proof. */
  secret: boolean;
  updated_at: Time;
}

export interface PushesTable {
  id: string;
  organization_id: string;
  project_id: string;
  branch: string;
  /** Null where the branch was made by this push. */
  before_commit: string | null;
  after_commit: string;
  pushed_by: string;
  received_at: Time;
}

export interface ReleasesTable {
  id: string;
  organization_id: string;
  project_id: string;
  service: string;
  commit: string;
  /** The immutable folder, relative to the data directory. */
  folder: string;
  config: Json<object>;
  lockfile_digest: string;
  created_at: Time;
}

export interface DeploymentsTable {
  id: string;
  organization_id: string;
  project_id: string;
  environment_id: string;
  service: string;
  commit: string;
  commit_message: string;
  /** push, merge, rollback, scale, manual */
  cause: string;
  /** The push that asked for it; unique with the environment, so one push is one deployment. */
  push_id: string | null;
  /** For a rollback, the deployment whose release is made live again. */
  rollback_of: string | null;
  release_id: string | null;
  /** queued, building, starting, live, superseded, failed, canceled */
  status: string;
  reason: NullableJson<ErrorShape>;
  created_at: Time;
  build_started_at: NullableTime;
  build_finished_at: NullableTime;
  live_at: NullableTime;
  ended_at: NullableTime;
}

export interface PullRequestsTable {
  id: string;
  organization_id: string;
  project_id: string;
  number: number;
  title: string;
  body: string;
  head_branch: string;
  base_branch: string;
  draft: boolean;
  author: string;
  /** open, merged, closed */
  state: string;
  merge_commit: string | null;
  created_at: Time;
  updated_at: Time;
  closed_at: NullableTime;
}

export interface PullRequestCommentsTable {
  id: string;
  organization_id: string;
  pull_request_id: string;
  author: string;
  body: string;
  /** A caller's key that makes a repeated comment the same comment. */
  dedupe_key: string | null;
  created_at: Time;
}

export interface FindingsTable {
  id: string;
  organization_id: string;
  project_id: string;
  environment_id: string;
  detector: string;
  fingerprint: string;
  deployment_id: string | null;
  /** The whole finding as `analyzers/finding.ts` has it. */
  finding: Json<object>;
  first_seen: Time;
  last_seen: Time;
}

export interface RejectionsTable {
  organization_id: string;
  project_id: string;
  environment_id: string;
  detector: string;
  fingerprint: string;
  rejection: Json<object>;
  last_seen: Time;
}

export interface SuggestionsTable {
  id: string;
  organization_id: string;
  project_id: string;
  environment_id: string;
  finding_id: string;
  detector: string;
  fingerprint: string;
  state: string;
  base_commit: string;
  branch: string | null;
  patch: NullableJson<object>;
  declined: NullableJson<object>;
  proof: NullableJson<object>;
  pull_request: NullableJson<object>;
  verdict: NullableJson<object>;
  dismissed_reason: string | null;
  snoozed_until: NullableTime;
  created_at: Time;
  updated_at: Time;
}

export interface AuditLogTable {
  id: Generated<string>;
  organization_id: string;
  principal_id: string;
  principal_name: string;
  operation: string;
  face: string;
  /** The input with secrets replaced. */
  input: NullableJson<object>;
  /** started, then done or failed */
  outcome: string;
  error_code: string | null;
  at: Time;
}

export interface DatabaseSchema {
  organizations: OrganizationsTable;
  api_tokens: ApiTokensTable;
  login_links: LoginLinksTable;
  projects: ProjectsTable;
  environments: EnvironmentsTable;
  environment_variables: EnvironmentVariablesTable;
  pushes: PushesTable;
  releases: ReleasesTable;
  deployments: DeploymentsTable;
  pull_requests: PullRequestsTable;
  pull_request_comments: PullRequestCommentsTable;
  findings: FindingsTable;
  rejections: RejectionsTable;
  suggestions: SuggestionsTable;
  audit_log: AuditLogTable;
}
