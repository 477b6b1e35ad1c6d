// suggestions: the inbox in the terminal; list, show, apply, dismiss, snooze.

import type { Output } from "../../client/client.ts";
import { TsdevError } from "../../sdk/errors.ts";
import { Client, findPlatform } from "../client.ts";
import { bold, colored, dim, print, table } from "../output.ts";
import { type EnvironmentFlags, place } from "./operate.ts";

interface SuggestionFlags extends EnvironmentFlags {
  apply: boolean;
  dismiss?: string;
  snooze?: number;
}

type Inbox = Output<"suggestions.list">;
type Suggestion = Output<"suggestions.get">;

export async function suggestions(id: string | undefined, flags: SuggestionFlags): Promise<void> {
  if (!id) {
    if (flags.apply || flags.dismiss || flags.snooze) {
      throw new TsdevError("invalid_input", {
        message: "which suggestion is meant?",
        fix: "give its id, for example `npx tsdev suggestions sug_… --apply`",
        path: "id",
      });
    }
    const { client, where } = await place(flags);
    print(await client.call("suggestions.list", where), flags, inboxText);
    return;
  }
  const client = new Client(await findPlatform(flags.data));
  print(await one(client, id, flags), flags, suggestionText);
}

async function one(client: Client, suggestion: string, flags: SuggestionFlags): Promise<Suggestion> {
  if (flags.apply) return client.call("suggestions.apply", { suggestion });
  if (flags.dismiss) return client.call("suggestions.dismiss", { suggestion, reason: flags.dismiss });
  if (flags.snooze) return client.call("suggestions.snooze", { suggestion, days: flags.snooze });
  return client.call("suggestions.get", { suggestion });
}

function inboxText({ suggestions: list, rejections }: Inbox): string {
  const parts = [
    table(
      ["suggestion", "state", "finding", "where", "pull request"],
      list.map((item) => [
        item.id,
        colored(item.state === "held" ? "green" : "cyan", item.state),
        item.finding.title,
        `${item.finding.file ?? "?"}:${item.finding.line ?? "?"}`,
        item.pullRequest ? `#${item.pullRequest.number}` : (item.declined?.reason ?? ""),
      ]),
    ),
  ];
  if (rejections.length > 0) {
    parts.push(`\n${bold("Looked like it, left alone")}`);
    parts.push(
      table(
        ["what", "where", "why"],
        rejections.map((item) => [item.subject, item.file ? `${item.file}:${item.line}` : "", item.reason]),
      ),
    );
  }
  return parts.join("\n");
}

function suggestionText(item: Suggestion): string {
  const { proof, patch } = item;
  const lines = [bold(item.finding.title), `${item.state}  ${dim(item.id)}`];
  if (proof) {
    lines.push(
      `proof: ${proof.equal ? `equal in ${proof.requests} requests` : "NOT equal"}, round trips ${proof.roundTripsPerRequest.before} → ${proof.roundTripsPerRequest.after}, p50 ratio ${proof.p50Ratio.value.toFixed(2)} (${proof.p50Ratio.low.toFixed(2)} to ${proof.p50Ratio.high.toFixed(2)})`,
      ...proof.differences.map((difference) => colored("red", `  ${difference}`)),
    );
  }
  if (item.declined) lines.push(`no patch: ${item.declined.reason}`);
  if (item.pullRequest) lines.push(`pull request ${item.pullRequest.url} (${item.pullRequest.state})`);
  if (item.verdict)
    lines.push(
      `${item.verdict.result}: ${item.verdict.measure} ${item.verdict.before.toFixed(2)} → ${item.verdict.after.toFixed(2)}`,
    );
  if (patch) lines.push("", patch.diff);
  return lines.join("\n");
}
