// sql: one SELECT over an environment's telemetry.
import { dim, print, table } from "../output.ts";
import { type EnvironmentFlags, place } from "./operate.ts";

export async function sql(statement: string, flags: EnvironmentFlags): Promise<void> {
  const { client, where } = await place(flags);
  const output = await client.call("sql.query", { ...where, sql: statement });
  print(output, flags, ({ rows, truncated }) => {
    const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
    const cells = rows.map((row) => names.map((name) => shown(row[name])));
    const rest = truncated ? `\n${dim("there are more rows")}` : "";
    return rows.length === 0 ? "no rows" : table(names, cells) + rest;
  });
}

function shown(value: unknown): string {
  if (value === null || value === undefined) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
