// logs: the log of an environment, now and as it goes on.
import type { Value } from "../../client/client.ts";
import { TsdevError } from "../../sdk/errors.ts";
import { colored, dim } from "../output.ts";
import { type EnvironmentFlags, place } from "./operate.ts";

type LogRecord = Omit<Value<"logs.follow">, "context"> & { context?: boolean };

interface LogFlags extends EnvironmentFlags {
  follow: boolean;
  since: string;
  search?: string;
  trace?: string;
  limit: number;
  context?: number;
}

function show(record: LogRecord, json: boolean): void {
  if (json) {
    process.stdout.write(`${JSON.stringify(record)}\n`);
    return;
  }
  if (record.context) {
    process.stdout.write(`${dim(`${record.time.slice(11, 23)} ${record.text}`)}\n`);
    return;
  }
  const text = record.severity === "error" || record.severity === "fatal" ? colored("red", record.text) : record.text;
  process.stdout.write(`${dim(record.time.slice(11, 23))} ${text}\n`);
}

export async function logs(flags: LogFlags): Promise<void> {
  const { client, where } = await place(flags);
  const filter = {
    ...where,
    since: flags.since,
    ...(flags.search ? { search: flags.search } : {}),
    ...(flags.trace ? { trace: flags.trace } : {}),
  };
  if (flags.context !== undefined && !flags.follow) {
    throw new TsdevError("invalid_input", {
      message: "--context is of lines as they arrive",
      fix: "add --follow; around a stored line the operation logs.context answers",
    });
  }
  if (flags.follow) {
    const followed = { ...filter, ...(flags.context === undefined ? {} : { context: flags.context }) };
    const abort = new AbortController();
    process.once("SIGINT", () => abort.abort());
    try {
      for await (const record of client.stream("logs.follow", followed, abort.signal)) show(record, flags.json);
    } catch (error) {
      if (!abort.signal.aborted) throw error;
    }
    return;
  }
  const { records } = await client.call("logs.search", { ...filter, limit: flags.limit });
  for (const record of records) show(record, flags.json);
}
