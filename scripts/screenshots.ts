// Takes the README's screenshots of a running platform: the inbox and the suggestion that was proven with the largest effect.
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { Suggestion } from "../agents/suggestions/suggestion.ts";
import { Client } from "../cli/client.ts";
import { openBrowser } from "./browser.ts";

const usage = "usage: node scripts/screenshots.ts (--data DIR | --url URL --token TOKEN) [--out DIR] [--dark]";
const width = 1280;
const scale = 2;
const margin = 32;
const mostHeight = 1300;

const { values } = parseArgs({
  options: {
    data: { type: "string" },
    url: { type: "string" },
    token: { type: "string" },
    out: { type: "string", default: join(dirname(fileURLToPath(import.meta.url)), "../docs/images") },
    dark: { type: "boolean", default: false },
  },
});

async function address(): Promise<{ url: string; token: string }> {
  if (values.url && values.token) return { url: values.url, token: values.token };
  if (values.data) return JSON.parse(await readFile(join(values.data, "control-plane.json"), "utf8"));
  process.stderr.write(`${usage}\n`);
  process.exit(2);
}

/** The machine's fonts with the browser's own before them, so that pictures look the same wherever they are taken. */
async function fontSettings(folder: string): Promise<string> {
  const file = join(folder, "fonts.conf");
  const alias = ["system-ui", "sans-serif"].map(
    (family) => `<alias binding="strong"><family>${family}</family><prefer><family>Open Sans</family></prefer></alias>`,
  );
  await writeFile(
    file,
    `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>
    <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
    <dir>${join(tmpdir(), "fonts")}</dir>${alias.join("")}<cachedir>${join(folder, "cache")}</cachedir></fontconfig>`,
  );
  return file;
}

const platform = await address();
const client = new Client(platform);
const { projects } = await client.call("projects.list", {});
const suggestions: Suggestion[] = [];
for (const project of projects) {
  for (const environment of project.environments) {
    const where = { project: project.name, environment: environment.name };
    const list = await client.call("suggestions.list", where);
    suggestions.push(...list.suggestions);
  }
}
const proven = suggestions
  .filter((one) => one.proof?.equal && one.patch)
  .sort((a, b) => (a.proof?.p50Ratio.value ?? 1) - (b.proof?.p50Ratio.value ?? 1))[0];
if (!proven) {
  process.stderr.write("there is no proven suggestion to show yet; run `npm run demo` first\n");
  process.exit(1);
}
const { url: login } = await client.call("identity.login", {});

const folder = await mkdtemp(join(tmpdir(), "tsdev-screenshots-"));
await mkdir(values.out, { recursive: true });
const browser = await openBrowser({ FONTCONFIG_FILE: await fontSettings(folder) });
try {
  const context = await browser.newContext({
    viewport: { width, height: 800 },
    deviceScaleFactor: scale,
    colorScheme: values.dark ? "dark" : "light",
  });
  const page = await context.newPage();
  await page.goto(login);
  await page.waitForURL("**/inbox");
  const shots = [
    { name: "inbox", path: "/inbox", ready: ".suggestion-row", until: ".left-alone, .group" },
    {
      name: "suggestion",
      path: `/suggestions/${proven.id}`,
      ready: '.diff [style*="light-dark"]',
      until: ".diff-panel",
    },
  ];
  for (const { name, path, ready, until } of shots) {
    await page.goto(platform.url + path);
    await page.locator(ready).first().waitFor();
    const file = join(values.out, `${name}${values.dark ? "-dark" : ""}.png`);
    // of a long page the top that says it all
    const end = await page.locator(until).last().boundingBox();
    const height = Math.ceil((end?.y ?? 0) + (end?.height ?? 0)) + margin;
    await page.setViewportSize({ width, height: Math.min(height, mostHeight) });
    await page.screenshot({ path: file, animations: "disabled" });
    await page.setViewportSize({ width, height: 800 });
    process.stdout.write(`${file}\n`);
  }
} finally {
  await browser.close();
  await rm(folder, { recursive: true, force: true });
}
