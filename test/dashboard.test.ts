// The dashboard in a real browser against a real platform: what a person does with it, and what an attacker tries.
import { writeFile } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Deployment } from "../platform/deployments/deployment.ts";
import { openBrowser } from "../scripts/browser.ts";
import { AppRepository } from "./app-repository.fixture.ts";
import { buildDashboard } from "./built-dashboard.fixture.ts";
import { endAndRemove, eventually, PlatformProcess, temporaryFolder } from "./platform.fixture.ts";
import { sendNPlusOne } from "./spans.fixture.ts";
import { finding, openSuggestionRows, proofOf } from "./suggestion-rows.fixture.ts";

const project = "noisy";
const attack = `<img src=x onerror="document.title='taken'"><script>document.title='taken'</script>`;

let folder: string;
let platform: PlatformProcess;
let repository: AppRepository;
let git: string;
let base: Deployment;
let rows: Awaited<ReturnType<typeof openSuggestionRows>>;
let browser: Browser;
let context: BrowserContext;
let page: Page;
/** What the browser complained about: errors of the pages, and what the content security policy refused. */
const complaints: string[] = [];

beforeAll(async () => {
  folder = await temporaryFolder("dashboard");
  const data = join(folder, "data");
  [platform, browser] = await Promise.all([PlatformProcess.start(data), openBrowser(), buildDashboard()]);
  repository = await AppRepository.from("noisy-app", join(folder, "app"));
  ({ git } = await platform.project(project));
  base = await deploy({ gate: "\n" });
  rows = await openSuggestionRows(join(data, "postgres"));
  context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error" && /Content Security Policy|React/.test(message.text()))
      complaints.push(message.text());
  });
  await page.goto(await loginLink());
  await page.waitForURL("**/inbox");
}, 300_000);

afterAll(async () => {
  await browser?.close();
  await rows?.close();
  await endAndRemove(join(folder, "data"), platform);
  await endAndRemove(folder, undefined);
}, 120_000);

async function loginLink(): Promise<string> {
  return (await platform.client.call("identity.login", {})).url;
}

async function push(files: Record<string, string>): Promise<string> {
  const commit = await repository.commit(files, `deploy ${attack}`);
  const pushed = await repository.push(git, platform.address.token);
  expect(pushed.code, pushed.stderr).toBe(0);
  return commit;
}

async function deploy(files: Record<string, string>): Promise<Deployment> {
  const commit = await push(files);
  const settled = await platform.settled(project, (one) => one.commit === commit);
  expect(settled).toMatchObject({ status: "live", reason: null });
  return settled;
}

const open = (path: string) => page.goto(platform.address.url + path);
const main = () => page.getByRole("main");

test("a login link opens the dashboard once; the second time it says how to get another", async () => {
  const link = await loginLink();
  const other = await browser.newContext();
  try {
    const first = await other.newPage();
    await first.goto(link);
    await first.waitForURL("**/inbox");
    await first.getByRole("heading", { name: "Suggestions" }).waitFor();
    const second = await (await browser.newContext()).newPage();
    await second.goto(link);
    await second.getByRole("alert").getByText("was used already").waitFor();
    await second.getByText("npx tsdev open").first().waitFor();
    await second.goto(`${platform.address.url}/projects/${project}`);
    await second.getByText("npx tsdev open").first().waitFor();
    await second.context().close();
  } finally {
    await other.close();
  }
});

test("without a suggestion the inbox says what to do next", async () => {
  await open("/inbox");
  await main().getByRole("heading", { name: "Nothing found so far" }).waitFor();
});

test("a proven suggestion is seen in the inbox, opened as a pull request, merged, and its deployment followed live", async () => {
  const found = finding("aaaa000011112222", "N+1 in GET /orders: one query for each of 50 rows");
  const [id = ""] = await rows.record(project, [found]);
  const before = await repository.git(["show", "HEAD:orders.ts"]);
  const after = before.replace(
    "for (const id of ids) names.push(await nameOf(id));",
    "names.push(...(await Promise.all(ids.map(nameOf))));",
  );
  const gate = join(folder, "gate-open");
  await repository.git(["checkout", "--quiet", "-b", "patched"]);
  const patchCommit = await repository.commit({ "orders.ts": `${after}\n`, gate: `${gate}\n` }, "perf: one query");
  const branch = `tsdev/${found.detector}/${found.fingerprint}`;
  const pushed = await repository.push(git, platform.address.token, `HEAD:refs/heads/${branch}`);
  expect(pushed.code, pushed.stderr).toBe(0);
  await repository.git(["checkout", "--quiet", "main"]);
  await rows.prove(
    id,
    found,
    { path: "orders.ts", before: `${before}\n`, after: `${after}\n` },
    proofOf(base.commit, patchCommit),
  );

  await open("/inbox");
  await main().getByText("round trips a request").waitFor();
  expect(await main().locator(".measure .figures").textContent()).toMatch(/^51\D+2$/);
  await main().getByText("p50 × 0.14 (0.10–0.20)").waitFor();
  await main().getByText("orders.ts:3").waitFor();
  await main().getByRole("link", { name: found.title }).click();

  await page.waitForURL(`**/suggestions/${id}`);
  await main().getByText("Equal in 73 of 73 replayed requests").waitFor();
  await main().getByText("concurrent requests: they were replayed one at a time").waitFor();
  const added = main().locator(".diff .line.added");
  await added.first().waitFor();
  expect(await added.allInnerTexts()).toEqual(["  names.push(...(await Promise.all(ids.map(nameOf))));"]);
  // colours come with the lazily loaded grammar, under the content security policy
  await added.locator('span[style*="light-dark"], mark[style*="light-dark"]').first().waitFor();

  await main().getByRole("button", { name: "Open pull request" }).click();
  await main()
    .getByRole("link", { name: /^Review pull request #/ })
    .click();
  await page.waitForURL(`**/projects/${project}/pulls/*`);
  await main()
    .getByRole("heading", { name: /^perf: N\+1 in GET \/orders/ })
    .waitFor();
  await main().getByRole("heading", { name: "Proof by replay" }).waitFor();
  await main().locator(".diff .line.added").first().waitFor();
  await main().getByRole("button", { name: "Merge" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Merge" }).click();
  await main().getByText("merged as").waitFor();
  const suggestion = await platform.client.call("suggestions.get", { suggestion: id });
  expect(suggestion).toMatchObject({ state: "merged", pullRequest: { state: "merged" } });

  await main().getByRole("link", { name: "see its deployment" }).click();
  await main()
    .getByRole("link", { name: /^Merge pull request/ })
    .click();
  await page.waitForURL("**/deployments/*");
  const log = main().getByRole("log");
  await log.getByText("waiting for the gate").waitFor();
  expect(await log.getByText("the gate is open").count()).toBe(0);
  await main().getByText("building", { exact: true }).waitFor();
  await writeFile(gate, "");
  await log.getByText("the gate is open").waitFor();
  await main().getByText("live", { exact: true }).waitFor();
  await main().getByText("healthy", { exact: true }).waitFor();
});

test("a suggestion is dismissed with a reason, which it shows from then on; text of a finding is never markup", async () => {
  const found = finding("bbbb000011112222", `N+1 of ${attack}`);
  const rejection = {
    detector: "n-plus-one" as const,
    fingerprint: "cccc000011112222",
    service: "noisy",
    subject: `GET /catalog ${attack}`,
    test: "different-queries",
    reason: `7 queries, all different ${attack}`,
    file: "catalog.ts",
    line: 7,
    traceIds: [],
  };
  const [id = ""] = await rows.record(project, [found], [rejection]);
  await open("/inbox");
  await main().getByText(rejection.reason).waitFor();
  await main().getByRole("link", { name: found.title }).click();
  await page.waitForURL(`**/suggestions/${id}`);
  await main().getByRole("heading", { level: 1, name: found.title }).waitFor();
  await main().getByRole("button", { name: "Dismiss" }).click();
  const dialog = page.getByRole("dialog");
  expect(await dialog.getByRole("button", { name: "Dismiss" }).isDisabled()).toBe(true);
  await dialog.getByRole("textbox", { name: "Reason" }).fill("the list is never longer than three");
  await dialog.getByRole("button", { name: "Dismiss" }).click();
  await main().getByText("Dismissed: the list is never longer than three.").waitFor();
  expect(await page.title()).toContain(found.title);
  expect(await page.locator("img[src=x]").count()).toBe(0);
  const suggestion = await platform.client.call("suggestions.get", { suggestion: id });
  expect(suggestion).toMatchObject({ state: "dismissed", dismissedReason: "the list is never longer than three" });
});

test("a change made in the dashboard is in the audit log as made there", async () => {
  const { entries } = await platform.client.call("audit.list", {});
  expect(entries).toContainEqual(expect.objectContaining({ operation: "suggestions.dismiss", face: "dashboard" }));
});

test("the waterfall shows a request's spans, repeated ones as one row that opens, by keyboard as well", async () => {
  const traceId = await sendNPlusOne(platform, project, 50);
  await eventually("the trace is stored", () =>
    platform.client.call("traces.get", { trace: traceId }).catch(() => null),
  );
  await open(`/projects/${project}/traces`);
  await main().getByRole("searchbox", { name: "Route or name" }).fill("/orders");
  await main().getByRole("link", { name: "GET /orders" }).first().click();
  await page.waitForURL("**/traces/*");
  const tree = main().getByRole("tree");
  const group = tree.getByRole("treeitem", { name: /50 × SELECT … customers/ });
  await group.waitFor();
  await tree.getByText("orders.ts:3").first().waitFor();
  expect(await tree.getByRole("treeitem").count()).toBe(2);
  await tree.focus();
  await page.keyboard.press("End");
  await page.keyboard.press("ArrowRight");
  await eventually("the group is open", async () => (await tree.getByRole("treeitem").count()) > 10);
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  const details = page.getByRole("complementary", { name: "Details of the span" });
  await details.getByText("SELECT name FROM customers WHERE id = $1").waitFor();
  await page.keyboard.press("Escape");
  await details.waitFor({ state: "detached" });
});

test("a trace of two thousand spans opens, with only the rows in sight in the page", async () => {
  const traceId = await sendNPlusOne(platform, project, 1999);
  await eventually("the trace is stored", () =>
    platform.client.call("traces.get", { trace: traceId }).catch(() => null),
  );
  await open(`/traces/${traceId}`);
  const tree = main().getByRole("tree");
  await tree.getByRole("treeitem", { name: /1999 × SELECT/ }).click();
  await eventually("the group is open", async () => (await tree.getByRole("treeitem").count()) > 10);
  expect(await tree.getByRole("treeitem").count()).toBeLessThan(120);
});

test("log lines appear as they are written, as text, and can be searched", async () => {
  await open(`/projects/${project}/logs`);
  const log = main().getByRole("log");
  await log.getByText("listening").first().waitFor();
  await say(`a line with ${attack}`);
  await log.getByText(`a line with ${attack}`).waitFor();
  expect(await page.locator("img[src=x]").count()).toBe(0);
  expect(await page.title()).not.toBe("taken");
  await main().getByRole("searchbox", { name: "Search in the logs" }).fill("another");
  await main().getByRole("heading", { name: "No line fits" }).waitFor();
  await say("another line");
  await log.getByText("another line").waitFor();
  expect(await log.getByText("listening").count()).toBe(0);
});

test("the project page scales, and rolls back after it has asked", async () => {
  await open(`/projects/${project}`);
  await main().getByRole("button", { name: "One instance more" }).click();
  await main().getByRole("button", { name: "Scale to 2" }).click();
  await main().getByText("2 instances").waitFor();
  await main().getByRole("button", { name: "Roll back" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  expect((await platform.deployments(project))[0]?.cause).toBe("merge");
  await main().getByRole("button", { name: "Roll back" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Roll back" }).click();
  await page.waitForURL("**/deployments/*");
  await main()
    .getByText(/^rollback/)
    .waitFor();
  expect((await platform.deployments(project))[0]).toMatchObject({ cause: "rollback", commit: base.commit });
});

test("an address that is nothing, and a thing that is not there, say so with what to do", async () => {
  await open("/nowhere");
  await main().getByRole("heading", { name: "There is no such page" }).waitFor();
  await open("/suggestions/sug_unknown");
  await main().getByRole("alert").getByText("there is no suggestion sug_unknown").waitFor();
});

test("no page broke, and the content security policy had nothing to refuse", () => {
  expect(complaints).toEqual([]);
});

/** Sends the live app a text that it prints. */
async function say(text: string): Promise<void> {
  const { port } = new URL(platform.address.url);
  const host = `${project}.${project}.localhost`;
  await new Promise<void>((done, failed) => {
    const sent = request({ host: "127.0.0.1", port, method: "POST", headers: { host } }, (answer) => {
      answer.resume().on("end", done);
    });
    sent.on("error", failed).end(text);
  });
}
