// Documents: links between them resolve, every error code is explained, and every command that is described exists.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import type { Command } from "commander";
import { expect, test } from "vitest";
import { program } from "../cli/main.ts";
import { errorCodes } from "../sdk/errors.ts";

const root = resolve(import.meta.dirname, "..");
const documents = [
  ...readdirSync(root).filter((name) => name.endsWith(".md")),
  ...readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .map((name) => join("docs", name)),
  "sdk/README.md",
  "examples/documents/README.md",
  "examples/shop/README.md",
];
const text = (path: string) => readFileSync(join(root, path), "utf8");
/** Code is no place for links. */
const prose = (path: string) => text(path).replaceAll(/^```[\s\S]*?^```/gm, "");

/** The anchors that headings of a document make, as GitHub makes them. */
function anchorsOf(path: string): string[] {
  return [...prose(path).matchAll(/^#+ (.+)$/gm)].map((match) =>
    (match[1] ?? "")
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

/** Commands by their whole name, such as `setup agent`. */
function commandsOf(command: Command, prefix = ""): Map<string, Command> {
  const found = new Map<string, Command>();
  for (const one of command.commands) {
    const name = `${prefix}${one.name()}`;
    if (one.commands.length === 0) found.set(name, one);
    for (const [inner, nested] of commandsOf(one, `${name} `)) found.set(inner, nested);
  }
  return found;
}

test("every link between documents leads to a file, and to a heading where it names one", () => {
  const broken: string[] = [];
  for (const document of documents) {
    for (const [, target = ""] of prose(document).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [path = "", anchor] = target.split("#");
      const file = path === "" ? document : relative(root, resolve(root, dirname(document), path));
      const found = existsSync(join(root, file)) && (!anchor || anchorsOf(file).includes(anchor));
      if (!found) broken.push(`${document}: ${target}`);
    }
  }
  expect(broken).toEqual([]);
});

test("every guide, reference and explanation is in the index", () => {
  const index = text("docs/README.md");
  const pages = documents.filter((path) => /^docs\/(tutorial|how-to|reference|explanation)\//.test(path));
  expect(pages.filter((path) => !index.includes(`(${path.slice("docs/".length)})`))).toEqual([]);
});

test("errors.md explains every code with its status, and no other", () => {
  const rows = [...text("docs/reference/errors.md").matchAll(/^\| `(\w+)` \| (\d+) \|/gm)];
  const documented = rows.map(([, code, status]) => [code, Number(status)]);
  expect(documented).toEqual(Object.entries(errorCodes).map(([code, { status }]) => [code, status]));
});

test("commands.md describes every command with every flag, and no other", () => {
  const sections = new Map(
    text("docs/reference/commands.md")
      .split(/^## /m)
      .slice(1)
      .map((section) => [/^`([a-z ]*[a-z])/.exec(section)?.[1] ?? "", section]),
  );
  const documented = [...sections.keys()].filter((name) => !name.startsWith("npm "));
  const commands = commandsOf(program());
  expect(documented.toSorted()).toEqual([...commands.keys()].toSorted());
  const shared = new Set(["--json", "--data", "--project", "--env"]);
  const missing = [...commands].flatMap(([name, command]) =>
    command.options
      .map((option) => option.long ?? "")
      .filter((flag) => !shared.has(flag) && !sections.get(name)?.includes(flag))
      .map((flag) => `${name} ${flag}`),
  );
  expect(missing).toEqual([]);
});

test("every tsdev command in a code block exists, with the flags that are given", () => {
  const commands = commandsOf(program());
  const wrong: string[] = [];
  for (const document of documents) {
    for (const [, line = ""] of text(document).matchAll(/npx tsdev ([a-z][^`\n#)"]*)/g)) {
      const words = line.trim().split(/\s+/);
      const name = commands.has(words.slice(0, 2).join(" ")) ? words.slice(0, 2).join(" ") : (words[0] ?? "");
      const command = commands.get(name.replace(/[.,;:]$/, ""));
      const flags = words.filter((word) => word.startsWith("--")).map((flag) => flag.replace(/[.,;:]$/, ""));
      const known = ["--help", ...(command?.options.map((option) => option.long ?? "") ?? [])];
      if (!command || flags.some((flag) => !known.includes(flag))) wrong.push(`${document}: npx tsdev ${line}`);
    }
  }
  expect(wrong).toEqual([]);
});
