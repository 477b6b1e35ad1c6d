// The operations on pull requests over the local host: what a person may do, and that nobody reaches another organization.
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { TsdevError } from "../../sdk/errors.ts";
import type { Operation, OperationContext } from "../../sdk/operation.ts";
import { type HostOnDisk, openHostOnDisk } from "./local-host.fixture.ts";
import { type MergedPullRequest, pullRequestOperations } from "./operations.ts";

let disk: HostOnDisk;
let operations: Operation[];
let organizationId: string;
let location: string;
let merges: MergedPullRequest[];
let number: number;

beforeAll(async () => {
  disk = await openHostOnDisk();
  operations = pullRequestOperations({
    project: async (organization, name) => {
      const found = await disk.host.projectNamed(organization, name);
      if (!found) throw new TsdevError("not_found", { message: `no project ${name}`, fix: "make it" });
      return { host: disk.host, location: found.location, defaultBranch: "main" };
    },
    onMerge: async (merged) => {
      merges.push(merged);
    },
  });
});

afterAll(() => disk?.close());

beforeEach(async () => {
  merges = [];
  organizationId = await disk.organization();
  location = await disk.project(organizationId);
  const base = await disk.commitByPerson(location, "main", { "src/a.ts": "export const a = 1;\n" });
  await disk.host.commit(location, {
    branch: "tsdev/n-plus-one/f00",
    base,
    message: "Batch",
    files: [{ path: "src/a.ts", content: "export const a = 2;\n" }],
  });
  const request = { title: "N+1", body: "Because.", head: "tsdev/n-plus-one/f00", base: "main", draft: true };
  ({ number } = await disk.host.openPullRequest(location, request));
});

async function call(name: string, input: object, organization = organizationId): Promise<Record<string, never>> {
  const found = operations.find((candidate) => candidate.name === name);
  if (found?.kind !== "call") throw new Error(`no operation ${name}`);
  const context: OperationContext = {
    principal: { id: "tok_ada", name: "Ada", organizationId: organization, role: "developer" },
    face: "http",
    signal: new AbortController().signal,
    progress() {},
  };
  return found.output.parse(await found.handler(found.input.parse(input), context));
}

test("a pull request is listed, shown with diff and comments, and commented on in the person's name", async () => {
  expect(await call("pulls.list", { project: "shop" })).toMatchObject({ pullRequests: [{ number, state: "open" }] });
  expect(await call("pulls.list", { project: "shop", state: "merged" })).toEqual({ pullRequests: [] });
  await call("pulls.comment", { project: "shop", number, body: "Nice.", key: "1" });
  await call("pulls.comment", { project: "shop", number, body: "Nice.", key: "1" });
  expect(await call("pulls.get", { project: "shop", number })).toMatchObject({
    pullRequest: { url: `http://dashboard.localhost/projects/shop/pulls/${number}`, draft: true },
    diff: expect.stringContaining("+export const a = 2;"),
    comments: [{ author: "Ada", body: "Nice." }],
  });
});

test("a merge tells the same branch and commits each time it is repeated", async () => {
  const before = await disk.host.head(location, "main");
  const { commit } = await call("pulls.merge", { project: "shop", number });
  await call("pulls.merge", { project: "shop", number });
  expect(merges).toHaveLength(2);
  expect(merges[1]).toEqual(merges[0]);
  expect(merges[0]).toMatchObject({ organizationId, project: "shop", branch: "main", before, after: commit });
});

test("a closed one stays closed", async () => {
  expect(await call("pulls.close", { project: "shop", number })).toMatchObject({ pullRequest: { state: "closed" } });
  await expect(call("pulls.merge", { project: "shop", number })).rejects.toMatchObject({ code: "conflict" });
  expect(merges).toEqual([]);
});

test("another organization finds nothing, also with a project of the same name", async () => {
  const stranger = await disk.organization();
  const verbs = ["pulls.get", "pulls.merge", "pulls.close", "pulls.comment"];
  const input = { project: "shop", number, body: "x" };
  for (const verb of verbs) await expect(call(verb, input, stranger)).rejects.toMatchObject({ code: "not_found" });
  await disk.project(stranger);
  for (const verb of verbs) await expect(call(verb, input, stranger)).rejects.toMatchObject({ code: "not_found" });
  expect(await call("pulls.list", { project: "shop" }, stranger)).toEqual({ pullRequests: [] });
  expect(await call("pulls.get", { project: "shop", number })).toMatchObject({ pullRequest: { state: "open" } });
});

test("only a developer changes anything, and a merge is confirmed first", () => {
  const rules = Object.fromEntries(operations.map((each) => [each.name, `${each.access.role} ${each.access.effect}`]));
  expect(rules).toEqual({
    "pulls.list": "viewer read",
    "pulls.get": "viewer read",
    "pulls.merge": "developer destructive",
    "pulls.close": "developer write",
    "pulls.comment": "developer write",
  });
});
