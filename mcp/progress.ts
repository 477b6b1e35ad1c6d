// Progress of a long operation as MCP notifications, at most a few a second and each with a higher number.
import type { ServerContext } from "@modelcontextprotocol/server";
import type { Progress } from "../sdk/operation.ts";
import { oneLine } from "./text.ts";

const leastMsBetween = 200;
const messageCharacters = 200;

/** `told` waits until everything was sent; a client that asked for no progress gets none. */
export function progressTo(context: ServerContext): { progress: (event: Progress) => void; told: () => Promise<void> } {
  const progressToken = context.mcpReq._meta?.progressToken;
  if (progressToken === undefined) return { progress: () => undefined, told: async () => undefined };
  let count = 0;
  let last = 0;
  let sending: Promise<void> = Promise.resolve();
  const progress = ({ message, fraction }: Progress) => {
    const now = Date.now();
    if (now - last < leastMsBetween) return;
    last = now;
    count += 1;
    // a fraction may stand still or be missing, while the protocol wants the number to grow
    const params = { progressToken, progress: count, message: textOf(message, fraction) };
    sending = sending
      .then(() => context.mcpReq.notify({ method: "notifications/progress", params }))
      .catch(() => undefined);
  };
  return { progress, told: () => sending };
}

function textOf(message: string, fraction: number | undefined): string {
  const text = oneLine(message, messageCharacters);
  return fraction === undefined ? text : `${Math.round(fraction * 100)} %: ${text}`;
}
