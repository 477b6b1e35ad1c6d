// mcp: the platform's MCP server on stdio; carries messages between the assistant and the platform and knows none of them.
import { StdioServerTransport } from "@modelcontextprotocol/server/stdio";
import { EventSourceParserStream } from "eventsource-parser/stream";
import { TsdevError } from "../../sdk/errors.ts";
import { findPlatform } from "../client.ts";
import type { PlatformFlags } from "./operate.ts";

type Message = Parameters<StdioServerTransport["send"]>[0];
interface Envelope {
  id?: string | number;
  method?: string;
  params?: { name?: string; uri?: string; requestId?: string | number; _meta?: Record<string, unknown> };
  result?: { protocolVersion?: string };
}

const versionKey = "io.modelcontextprotocol/protocolVersion";
const internalError = -32_603;
/** The first protocol version in which every request says its version and method in headers. */
const firstWithHeaders = "2026-07-28";

/** Serves until stdin ends. A request is one HTTP request; canceling it closes that. */
export async function mcp(flags: Omit<PlatformFlags, "json">): Promise<void> {
  const stdio = new StdioServerTransport();
  const inFlight = new Map<string | number, AbortController>();
  /** What an older client agreed on with `initialize`. */
  let agreed: string | undefined;

  stdio.onmessage = (message) => {
    const { id, method, params } = message as Envelope;
    if (method === "notifications/cancelled" && params?.requestId !== undefined) {
      inFlight.get(params.requestId)?.abort();
      return;
    }
    const abort = new AbortController();
    if (id !== undefined) inFlight.set(id, abort);
    carry(message, abort.signal)
      .catch((thrown: unknown) => {
        if (abort.signal.aborted || id === undefined) return;
        const error = TsdevError.from(thrown);
        const told = { code: internalError, message: `${error.message}; ${error.fix}`, data: { code: error.code } };
        return stdio.send({ jsonrpc: "2.0", id, error: told });
      })
      .finally(() => {
        if (id !== undefined && inFlight.get(id) === abort) inFlight.delete(id);
      });
  };
  const closed = new Promise<void>((resolve) => {
    stdio.onclose = resolve;
  });
  await stdio.start();
  await closed;
  for (const abort of inFlight.values()) abort.abort();

  async function carry(message: Message, signal: AbortSignal): Promise<void> {
    // found anew each time: the platform may have started again on another port
    const { url, token } = await findPlatform(flags.data);
    const response = await fetch(`${url}/mcp`, {
      method: "POST",
      headers: { ...headersOf(message as Envelope, agreed), authorization: `Bearer ${token}` },
      body: JSON.stringify(message),
      signal,
    }).catch((cause: unknown) => {
      throw new TsdevError("unavailable", {
        message: `nothing answers at ${url}`,
        fix: "start the platform with `npx tsdev serve`, or correct TSDEV_URL",
        cause,
      });
    });
    if (response.status === 401) {
      await response.body?.cancel();
      throw new TsdevError("unauthenticated", {
        message: `${url} does not know the token`,
        fix: "set TSDEV_TOKEN to one of its tokens",
      });
    }
    for await (const answer of messagesOf(response)) {
      const version = (answer as Envelope).result?.protocolVersion;
      if ((message as Envelope).method === "initialize" && version) agreed = version;
      await stdio.send(answer);
    }
  }
}

function headersOf({ method, params }: Envelope, agreed: string | undefined): Record<string, string> {
  const headers: Record<string, string> = {
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
  };
  const own = params?._meta?.[versionKey];
  const version = typeof own === "string" ? own : agreed;
  if (version) headers["mcp-protocol-version"] = version;
  if (typeof own === "string" && own >= firstWithHeaders) {
    if (method) headers["mcp-method"] = method;
    const name = params?.name ?? params?.uri;
    if (name) headers["mcp-name"] = headerText(name);
  }
  return headers;
}

/** Headers carry visible ASCII only; anything else travels as the protocol says. */
function headerText(text: string): string {
  return /^[\x21-\x7e]+$/.test(text) ? text : `=?base64?${Buffer.from(text).toString("base64")}?=`;
}

async function* messagesOf(response: Response): AsyncGenerator<Message> {
  const type = response.headers.get("content-type") ?? "";
  if (type.includes("text/event-stream") && response.body) {
    const events = response.body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
    for await (const event of events) if (event.data) yield JSON.parse(event.data) as Message;
    return;
  }
  const text = await response.text();
  if (text === "") return;
  if (!type.includes("application/json")) {
    throw new TsdevError("unavailable", {
      message: `the platform answered ${response.status} without JSON`,
      fix: "look at its log; correct TSDEV_URL if it points elsewhere",
    });
  }
  const parsed = JSON.parse(text) as Message | Message[];
  yield* Array.isArray(parsed) ? parsed : [parsed];
}
