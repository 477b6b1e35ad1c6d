// setup agent: writes an assistant's configuration in a folder, so that it starts `tsdev mcp` there.
import { access, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { parse as parseToml, stringify as stringifyToml } from "smol-toml";
import { TsdevError } from "../../sdk/errors.ts";
import { print } from "../output.ts";

export const agentClients = ["cursor", "vscode", "claude", "codex", "zed"] as const;
export type AgentClient = (typeof agentClients)[number];

const serverName = "tsdev";
const packageFolder = resolve(dirname(fileURLToPath(import.meta.url)), "..");

interface Place {
  file: string;
  /** The key that holds the servers by name. */
  key: string;
  format: "json" | "toml";
  /** A folder that shows that this client is used here. */
  sign: string;
  also?: Record<string, string>;
}

const places: Record<AgentClient, Place> = {
  cursor: { file: ".cursor/mcp.json", key: "mcpServers", format: "json", sign: ".cursor" },
  vscode: { file: ".vscode/mcp.json", key: "servers", format: "json", sign: ".vscode", also: { type: "stdio" } },
  claude: { file: ".mcp.json", key: "mcpServers", format: "json", sign: ".claude" },
  codex: { file: ".codex/config.toml", key: "mcp_servers", format: "toml", sign: ".codex" },
  zed: { file: ".zed/settings.json", key: "context_servers", format: "json", sign: ".zed" },
};

export async function setupAgent(flags: { client?: AgentClient; json: boolean }): Promise<void> {
  const folder = process.cwd();
  const client = flags.client ?? (await detected(folder));
  const place = places[client];
  const path = join(folder, place.file);
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw new TsdevError("invalid_config", {
      message: `${place.file} cannot be read: ${error.code}`,
      fix: "see its permissions",
    });
  });
  const entry = { ...place.also, ...startCommand(folder) };
  const merged = merge(place, text, entry);
  if (merged !== text) await replace(path, merged);
  print(
    { file: path, client },
    flags,
    () =>
      `${merged === text ? "nothing had to be written" : "wrote"}: ${place.file}\nStart ${client} again in this folder; it then offers the tools of tsdev.`,
  );
}

async function detected(folder: string): Promise<AgentClient> {
  for (const client of agentClients) {
    const found = await access(join(folder, places[client].sign)).then(
      () => true,
      () => false,
    );
    if (found) return client;
  }
  return "claude";
}

/** `npx tsdev mcp` where tsdev is installed as a package, else this checkout, started by Node itself. */
function startCommand(folder: string): { command: string; args: string[] } {
  if (packageFolder.includes(`${sep}node_modules${sep}`)) return { command: "npx", args: ["tsdev", "mcp"] };
  const script = join(packageFolder, "tsdev.js");
  const inside = relative(folder, script);
  return { command: "node", args: [inside.startsWith("..") ? script : inside, "mcp"] };
}

/** The file's text with our entry in it; other keys stay. Throws `invalid_config` where that cannot be done safely. */
function merge(place: Place, text: string, entry: Record<string, unknown>): string {
  const config = parsed(place, text);
  const servers = config[place.key] ?? {};
  if (typeof servers !== "object" || servers === null || Array.isArray(servers)) throw unusable(place, entry);
  const before = (servers as Record<string, unknown>)[serverName];
  if (before !== undefined && JSON.stringify(before) === JSON.stringify(entry)) return text;
  const added = { [place.key]: { ...servers, [serverName]: { ...(before as object | undefined), ...entry } } };
  if (place.format === "json") {
    const indent = /^([ \t]+)\S/m.exec(text)?.[1] ?? "  ";
    return `${JSON.stringify({ ...config, ...added }, null, indent)}\n`;
  }
  // a TOML file keeps its comments when a table is only added at its end
  if (before !== undefined) throw unusable(place, entry);
  const table = stringifyToml({ [place.key]: { [serverName]: entry } });
  const appended = text === "" ? `${table}\n` : `${text.trimEnd()}\n\n${table}\n`;
  parsed(place, appended);
  return appended;
}

function parsed(place: Place, text: string): Record<string, unknown> {
  if (text.trim() === "") return {};
  try {
    const value: unknown = place.format === "json" ? JSON.parse(text) : parseToml(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // told below: comments and trailing commas would be lost
  }
  throw unusable(place, startCommand(process.cwd()));
}

function unusable(place: Place, entry: Record<string, unknown>): TsdevError {
  const shown =
    place.format === "json"
      ? `"${serverName}": ${JSON.stringify(entry)} under "${place.key}"`
      : stringifyToml({ [place.key]: { [serverName]: entry } })
          .trim()
          .replaceAll("\n", "; ");
  return new TsdevError("invalid_config", {
    message: `${place.file} is ${place.format === "json" ? "not plain JSON (it may have comments)" : "not TOML that can be added to"}, and was left as it is`,
    fix: `add by hand: ${shown}`,
    path: place.file,
  });
}

/** Whole or not at all. */
async function replace(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.new`;
  await writeFile(temporary, text);
  await rename(temporary, path);
}
