// What a proof is asked for, and what it is given to work with.
import type { Finding } from "../../analyzers/finding.ts";
import type { OwnedProcesses } from "../../platform/runtime/owned-processes.ts";
import type { OutgoingRecording, RequestRecording, RunRecording } from "../../platform/telemetry/recording.ts";

export type SpawnOwned = ReturnType<OwnedProcesses["own"]>["spawn"];

/** One side of a proof: a commit and the folder it was built in, `node_modules` inside or linked. */
export interface ProofVersion {
  commit: string;
  folder: string;
}

/** By detector: n-plus-one, flaky-step, parallel-steps. */
export type ProofMeasure = "round-trips" | "failures" | "time";

export interface ProofRequest {
  id: string;
  finding: Finding;
  base: ProofVersion;
  patch: ProofVersion;
  /** The start command, run by a shell in the version's folder. */
  start: string;
  /** Path that answers below 500 when the app is ready; undefined tries `/readyz`, then `/`. */
  health?: string;
  service: string;
  /** The environment's database, null when the app has none. Read only: never written, never locked for long. */
  databaseUrl: string | null;
  requests: RequestRecording[];
  outgoing: OutgoingRecording[];
  runs: RunRecording[];
  /** Non-secret variables of the environment; secrets are given as placeholders by the caller. */
  env: Record<string, string>;
  /** More places that may differ, from the app's configuration: JSON paths (`items.*.took`) and header names. */
  normalise?: string[];
  measure: ProofMeasure;
}

export interface ProofDependencies {
  /** Superuser URL of the Postgres server where throw-away databases are made. */
  adminUrl: string;
  /** Scratch folder of this proof; removed at its end. */
  directory: string;
  /** `file://` URL of the tracing hook, which in replay mode sends every outgoing call to the proof. */
  registerUrl: string;
  nodePath: string;
  /** `processes.own("proof:<id>").spawn`: recorded, so that the next start ends what a killed control plane left. */
  spawn: SpawnOwned;
  progress(message: string, fraction?: number): void;
  signal: AbortSignal;
}
