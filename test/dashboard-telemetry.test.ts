// What a person does with telemetry in the dashboard: a real browser on a real platform, with spans and logs sent as OTLP.
import { join } from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openBrowser } from "../scripts/browser.ts";
import { buildDashboard } from "./built-dashboard.fixture.ts";
import { type Seeded, sendLine, sendShop } from "./dashboard-telemetry.fixture.ts";
import { endAndRemove, eventually, PlatformProcess, temporaryFolder } from "./platform.fixture.ts";

const project = "shop";
const where = { project, environment: "production" };

let folder: string;
let platform: PlatformProcess;
let browser: Browser;
let context: BrowserContext;
let page: Page;
let seeded: Seeded;
const complaints: string[] = [];

beforeAll(async () => {
  folder = await temporaryFolder("dashboard-telemetry");
  [platform, browser] = await Promise.all([
    PlatformProcess.start(join(folder, "data")),
    openBrowser(),
    buildDashboard(),
  ]);
  await platform.project(project);
  await platform.project("silent");
  seeded = await sendShop(platform, project);
  await eventually("the last trace is stored", () =>
    platform.client.call("traces.get", { trace: seeded.long }).then(
      ({ spans }) => spans.length > 4_900,
      () => null,
    ),
  );
  context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error" && /Content Security Policy|React|Error/.test(message.text()))
      complaints.push(message.text());
  });
  await page.goto((await platform.client.call("identity.login", {})).url);
  await page.waitForURL("**/inbox");
}, 300_000);

afterAll(async () => {
  await browser?.close();
  await endAndRemove(join(folder, "data"), platform);
  await endAndRemove(folder, undefined);
}, 120_000);

const open = (path: string) => page.goto(platform.address.url + path);
const main = () => page.getByRole("main");
const log = () => main().getByRole("log");

test("a log line opens to its fields; a click on a value narrows the search, and the address holds it", async () => {
  await open(`/projects/${project}/logs?severity=error`);
  await log()
    .getByText(/^payment of order/)
    .first()
    .waitFor();
  expect(await log().getByText("came in").count()).toBe(0);
  await main().getByRole("img", { name: "Log lines over time by severity" }).waitFor();
  await log()
    .getByRole("button", { name: /: fields$/ })
    .last()
    .click();
  await log().getByRole("button", { name: "Lines before and after" }).click();
  const around = log().getByRole("list", { name: "Lines before and after" });
  await around
    .getByText(/^stock of order/)
    .first()
    .waitFor();
  await log()
    .getByTitle(/^only records with order.id = /)
    .click();
  await page.waitForURL(/attribute=order\.id/);
  await eventually(
    "one line is left",
    async () =>
      (await log()
        .getByText(/^payment of order/)
        .count()) <= 2,
  );
  await page.reload();
  await main()
    .getByRole("button", { name: /^No longer only order\.id=/ })
    .waitFor();
});

test("the live tail can be held: what comes meanwhile is counted, and shown when it goes on", async () => {
  await open(`/projects/${project}/logs`);
  await log().getByText("came in").first().waitFor();
  await main().getByRole("button", { name: "Pause" }).click();
  await sendLine(platform, project, "a line written while it is held");
  await main().getByRole("button", { name: "Go on (1)" }).waitFor();
  expect(await log().getByText("a line written while it is held").count()).toBe(0);
  await main().getByRole("button", { name: "Go on (1)" }).click();
  await log().getByText("a line written while it is held").waitFor();
});

test("traces are narrowed by errors and duration, and a point of the scatter opens its trace", async () => {
  await open(`/projects/${project}/traces?errors=1`);
  const failed = 15;
  await main().getByRole("link", { name: "nightly report" }).waitFor();
  expect(
    await main()
      .getByRole("row")
      .filter({ has: page.locator("a") })
      .count(),
  ).toBe(failed + 1);
  await main().getByRole("spinbutton", { name: "Slower than, in milliseconds" }).fill("1000");
  await page.waitForURL(/slower=1000/);
  await eventually("one is left", async () => (await main().locator("tbody a").count()) === 1);
  // the only point stands in the middle
  const plot = main().locator(".u-over");
  const box = await plot.boundingBox();
  await plot.click({ position: { x: box!.width / 2, y: box!.height / 2 } });
  await page.waitForURL(`**/traces/${seeded.long}*`);
});

test("a trace shows its critical path, self times and its logs; the span that is chosen is in the address", async () => {
  await open(`/traces/${seeded.failed}`);
  const tree = main().getByRole("tree");
  await tree.getByRole("treeitem", { name: /^POST \/charges|POST \/charges/ }).waitFor();
  expect(await tree.locator(".critical-piece").count()).toBeGreaterThan(5);
  await main().getByRole("checkbox", { name: "critical path" }).uncheck();
  expect(await tree.locator(".critical-piece").count()).toBe(0);
  const logs = main().getByRole("region", { name: "Logs of the trace" });
  await logs.getByText(/^payment of order/).waitFor();
  await tree.focus();
  await page.keyboard.press("e");
  await page.keyboard.press("Enter");
  await page.waitForURL(/span=[0-9a-f]{16}/);
  const details = main().getByRole("complementary", { name: "Details of the span" });
  await details.getByText("card declined").first().waitFor();
  await details.getByText(/by itself/).waitFor();
  await page.reload();
  await main().getByRole("complementary", { name: "Details of the span" }).waitFor();
});

test("five thousand spans scroll with only those in sight in the page, zoom, collapse, and lead to their error", async () => {
  await open(`/traces/${seeded.long}`);
  const tree = main().getByRole("tree");
  const items = tree.getByRole("treeitem");
  await items.first().waitFor();
  expect(await items.count()).toBeLessThan(120);
  await tree.focus();
  const before = performance.now();
  for (let press = 0; press < 20; press++) await page.keyboard.press("PageDown");
  // twenty pages; a page that renders all its rows takes minutes
  expect(performance.now() - before).toBeLessThan(20_000);
  expect(await items.count()).toBeLessThan(120);
  await main().getByRole("button", { name: "Next error" }).click();
  await tree.getByRole("treeitem", { name: /line 48.*failed/ }).waitFor();
  await page.keyboard.press("+");
  await tree.focus();
  await page.keyboard.press("+");
  await main().getByRole("button", { name: "Whole trace" }).click();
  await main().getByRole("button", { name: "Collapse" }).click();
  await eventually("only the root is left", async () => (await items.count()) === 1);
});

test("the service map names who calls whom, and leads to a service's operations and their charts", async () => {
  await open(`/projects/${project}/map`);
  const map = main().getByRole("group", { name: "Service map of production" });
  await map.locator("text.node-name", { hasText: "postgresql/shop" }).waitFor();
  expect(await map.locator(".edge title").allTextContents()).toEqual(
    expect.arrayContaining([
      expect.stringMatching(/^gateway calls orders: /),
      expect.stringMatching(/^orders calls billing: /),
      expect.stringMatching(/^orders calls postgresql\/shop: /),
    ]),
  );
  await map.getByRole("link", { name: /^billing: / }).focus();
  await page.keyboard.press("Enter");
  await page.waitForURL(/operations\?.*service=billing/);
  await main().getByRole("button", { name: "POST /charges" }).click();
  await page.waitForURL(/operation=POST/);
  await main().getByRole("img", { name: "Requests a second over time" }).waitFor();
  await main().getByRole("link", { name: "Traces of POST /charges" }).click();
  await page.waitForURL(/traces\?.*operation=POST/);
  await main().locator("tbody a").first().waitFor();
});

test("a metric is chosen, grouped by an attribute, and its exemplars lead to a trace", async () => {
  await open(`/projects/${project}/metrics`);
  await main().getByRole("img", { name: "shop.orders over time" }).waitFor();
  await main().getByRole("combobox", { name: "Group by" }).selectOption("country");
  await page.waitForURL(/by=country/);
  for (const country of ["de", "fr"]) {
    await main().locator(".legend").getByText(country, { exact: true }).waitFor();
  }
  await main()
    .getByRole("button", { name: /^shop\.stock/ })
    .click();
  await main().getByRole("img", { name: "shop.stock over time" }).waitFor();
  await main().getByRole("region", { name: "Traces that recorded it" }).getByRole("link").first().click();
  await page.waitForURL(`**/traces/${seeded.failed}*`);
});

test("telemetry settings are changed, and a copy is added and taken away", async () => {
  await open(`/projects/${project}/telemetry`);
  const kept = main().getByRole("form", { name: "Kept for" });
  await kept.getByRole("spinbutton", { name: /traces/i }).fill("30");
  await kept.getByRole("button", { name: "Save" }).click();
  await eventually("it is stored", async () => {
    const { retentionDays } = await platform.client.call("telemetry.settings", where);
    return retentionDays.traces === 30;
  });
  const add = main().getByRole("form", { name: "Add a copy" });
  await add.getByRole("textbox", { name: /endpoint/i }).fill("https://collector.example.com:4318");
  await add.getByRole("button", { name: "Add copy" }).click();
  await main().getByRole("cell", { name: "https://collector.example.com:4318", exact: true }).waitFor();
  await main()
    .getByRole("button", { name: /^Remove the copy/ })
    .click();
  await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
  await eventually("it is gone", async () => {
    const { forward } = await platform.client.call("telemetry.settings", where);
    return forward.length === 0;
  });
});

test("where nothing has arrived, every page says how to send telemetry", async () => {
  for (const path of ["logs", "traces", "operations", "metrics", "map"]) {
    await open(`/projects/silent/${path}`);
    await main().getByText("npx tsdev otlp --project silent").waitFor();
    await main().getByRole("link", { name: "How to send telemetry" }).waitFor();
  }
});

test("on a telephone no page is wider than the screen", async () => {
  const phone = await browser.newContext({
    viewport: { width: 390, height: 800 },
    colorScheme: "dark",
    storageState: await context.storageState(),
  });
  const small = await phone.newPage();
  const paths = ["logs", "traces", "operations", "metrics", "map", "telemetry"].map(
    (path) => `/projects/${project}/${path}`,
  );
  for (const path of [...paths, `/traces/${seeded.failed}`]) {
    await small.goto(platform.address.url + path);
    await small.getByRole("main").locator(".panel").first().waitFor();
    const over = await small.evaluate<number>(
      "document.documentElement.scrollWidth - document.documentElement.clientWidth",
    );
    expect(over, path).toBe(0);
  }
  await phone.close();
});

test("no page broke, and the content security policy had nothing to refuse", () => {
  expect(complaints).toEqual([]);
});
