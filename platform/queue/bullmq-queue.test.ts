// BullMQ in Postgres, and in Redis where REDIS_URL names one, fulfil the queue's contract.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type TemporaryPostgres, temporaryPostgres } from "../store/postgres-fixture.ts";
import { openQueue } from "./bullmq-queue.ts";
import { queueContract } from "./queue.contract.ts";

const redisUrl = process.env.REDIS_URL;

describe("in Postgres", () => {
  let postgres: TemporaryPostgres;
  beforeAll(async () => {
    postgres = await temporaryPostgres();
  });
  afterAll(() => postgres[Symbol.asyncDispose]());

  queueContract(() => ({ postgresUrl: postgres.url }));
});

describe.skipIf(redisUrl === undefined)("in Redis", () => {
  queueContract(() => ({ redisUrl: redisUrl! }));
});

test("a server that is not there ends in one error with a fix", async () => {
  await expect(openQueue({ postgresUrl: "postgresql://nobody@127.0.0.1:1/none" }, { log() {} })).rejects.toMatchObject({
    code: "unavailable",
    fix: expect.stringContaining("DATABASE_URL"),
  });
});
