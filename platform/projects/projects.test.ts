// Projects on a real Postgres: with a repository here or on GitHub, made twice, at once, and under a taken name.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { newId } from "../store/id.ts";
import { type TemporaryPostgres, temporaryPostgres } from "../store/postgres-fixture.ts";
import { openStore, type Store } from "../store/store.ts";
import { GitHubRepository } from "./project.ts";
import { Projects } from "./projects.ts";

let postgres: TemporaryPostgres;
let store: Store;
let projects: Projects;
let organizationId: string;

beforeAll(async () => {
  postgres = await temporaryPostgres();
  store = await openStore({ url: postgres.url });
  projects = new Projects({
    db: store.db,
    createRepository: async ({ id }) => ({ location: id }),
    // as GitHub does: any case is found, its own spelling is answered
    findRepository: async (repository) => ({ location: repository.toLowerCase(), defaultBranch: "trunk" }),
    gitUrl: ({ git_host, git_location }) => `${git_host}:${git_location}`,
    environmentUrl: (project, environment, service) => `http://${service}.${environment}.${project}.localhost`,
  });
});

afterAll(async () => {
  await store?.close();
  await postgres?.[Symbol.asyncDispose]();
});

beforeEach(async () => {
  organizationId = newId("org");
  await store.db.insertInto("organizations").values({ id: organizationId, name: organizationId }).execute();
});

describe("a project on GitHub", () => {
  test("has the repository as GitHub spells it, follows its default branch, and is made once", async () => {
    const made = await projects.create(organizationId, { name: "shop", repository: "Ada/Shop" });
    expect(made).toMatchObject({
      created: true,
      project: { gitHost: "github", git: "github:ada/shop", defaultBranch: "trunk" },
    });
    expect(made.project.environments).toEqual([expect.objectContaining({ name: "production", branch: "trunk" })]);
    const again = await projects.create(organizationId, { name: "shop", repository: "ADA/shop" });
    expect(again).toEqual({ created: false, project: made.project });
    // without a repository the project of that name is meant
    expect(await projects.create(organizationId, { name: "shop" })).toEqual(again);
  });

  test("may follow another branch", async () => {
    const { project } = await projects.create(organizationId, {
      name: "shop",
      repository: "ada/shop",
      defaultBranch: "main",
    });
    expect(project.defaultBranch).toBe("main");
  });

  test("is refused under the name of a project with another repository, here or there", async () => {
    await projects.create(organizationId, { name: "here" });
    await projects.create(organizationId, { name: "there", repository: "ada/there" });
    for (const name of ["here", "there"]) {
      await expect(projects.create(organizationId, { name, repository: "ada/shop" })).rejects.toMatchObject({
        code: "conflict",
        path: "name",
      });
    }
  });

  test("asked for at once with and without a repository: one is made, and nobody is told of the other", async () => {
    const asked = await Promise.allSettled([
      projects.create(organizationId, { name: "shop", repository: "ada/shop" }),
      projects.create(organizationId, { name: "shop", repository: "ada/other" }),
    ]);
    const [made] = await projects.list(organizationId);
    const answered = asked.filter((one) => one.status === "fulfilled");
    expect(answered.map((one) => one.value.project.git)).toEqual([made?.git]);
    expect(made?.environments).toHaveLength(1);
  });
});

test.each(["ada", "ada/", "/shop", "ada/..", "ada/.", "-a/shop", "ada/shop/x", "https://github.com/ada/shop", "a b/c"])(
  "%s is no repository",
  (text) => {
    expect(GitHubRepository.safeParse(text).success).toBe(false);
  },
);

test.each(["ada/shop", "Ada-1/shop.git-tools_2", "a/.github"])("%s is one", (text) => {
  expect(GitHubRepository.safeParse(text).success).toBe(true);
});
