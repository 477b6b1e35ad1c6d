// The memory store passes the contract of run stores.
import { describe } from "vitest";
import { MemoryStore } from "./memory-store.ts";
import { runStoreContract } from "./run-store.contract.ts";

describe("memory store", () => {
  const store = new MemoryStore(60_000);
  runStoreContract(async () => store);
});
