// Clean-up: ends and drops what proofs left whose control plane was killed.
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { OwnedProcesses } from "../../platform/runtime/owned-processes.ts";
import { dropDeadProofs } from "./proof-server.ts";

export interface CleanUpDependencies {
  /** Superuser URL of the server where proofs make their databases. */
  adminUrl: string;
  /** The folder that holds the proofs' scratch folders; its content is removed. */
  directory?: string;
  /** The ledger that proofs spawn through; leave it out where it was reaped already. */
  processes?: OwnedProcesses;
}

/**
 * Ends processes, drops databases, slots and roles, and removes the files of proofs whose prover was killed.
 * Proofs that live, in this or another control plane on the same server, are left alone. Call it at start, before the
 * first proof. Returns how many dead proofs it found.
 */
export async function cleanUpProofs(dependencies: CleanUpDependencies): Promise<number> {
  const { adminUrl, directory, processes } = dependencies;
  await processes?.reapOwned(["proof", "proof:*"]);
  const dropped = await dropDeadProofs(adminUrl);
  if (directory !== undefined) {
    for (const name of await readdir(directory).catch(() => [])) {
      await rm(join(directory, name), { recursive: true, force: true });
    }
  }
  return dropped;
}
