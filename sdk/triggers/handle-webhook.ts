// Handles a webhook's request: limit, signature, contract, and the run that the delivery leads to.
import type { Engine } from "../engine/engine.ts";
import { TsdevError } from "../errors.ts";
import { toResponse } from "../http/problem.ts";
import { createLog, type Log } from "../log.ts";
import { checkContract } from "../procedures/contract.ts";
import { beginRun, runIdOf } from "./begin-run.ts";
import type { WebhookTrigger } from "./trigger.ts";

/**
 * Answers 202 with `{ runId }` when the delivery began a run, 200 with the same when it had done so before, 204 when it
 * leads to none, and a problem (RFC 9457) otherwise: 401 for a signature, 413 for a body that is too long, 400 for one
 * that does not fit the contract, 503 when the sender should try again. Never rejects.
 */
export async function handleWebhook(
  trigger: WebhookTrigger,
  engine: Engine,
  request: Request,
  options: { log?: Log } = {},
): Promise<Response> {
  try {
    const body = await readBody(request, trigger.maxBodyBytes);
    await trigger.verify(request, body);
    const payload = await checkContract(trigger.payload, parse(request, body), `the body of webhook "${trigger.name}"`);
    const input = await trigger.input(payload, request);
    if (input instanceof Response) return input;
    if (input === undefined) return new Response(null, { status: 204 });
    const id = trigger.deliveryId(request, body);
    const runId = runIdOf(trigger, id);
    if (await engine.run(runId)) return Response.json({ runId });
    await beginRun(engine, trigger, id, input);
    return Response.json({ runId }, { status: 202 });
  } catch (error) {
    const log = options.log ?? createLog({ component: "tsdev-triggers" });
    // Without its cause where the sender did wrong: the cause may quote the body.
    if (TsdevError.is(error) && error.status < 500) {
      log.warn("a webhook was refused", { trigger: trigger.name, code: error.code, reason: error.message });
    } else log.error("a webhook could not be handled", { trigger: trigger.name, error });
    return toResponse(error);
  }
}

/** The body's bytes as they came. Throws `payload_too_large` as soon as it is, without reading the rest. */
async function readBody(request: Request, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = Number(request.headers.get("content-length") ?? 0);
  if (length <= maxBytes && request.body) {
    length = 0;
    for await (const chunk of request.body as unknown as AsyncIterable<Uint8Array>) {
      length += chunk.byteLength;
      if (length > maxBytes) break;
      chunks.push(chunk);
    }
  }
  if (length <= maxBytes) return Buffer.concat(chunks);
  throw new TsdevError("payload_too_large", {
    message: `the body is longer than ${maxBytes} bytes`,
    fix: "send less, or raise maxBodyBytes of the webhook",
  });
}

function parse(request: Request, body: Uint8Array): unknown {
  const type = (request.headers.get("content-type") ?? "").toLowerCase();
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("utf8");
  if (type.startsWith("application/x-www-form-urlencoded")) return Object.fromEntries(new URLSearchParams(text));
  // Some send JSON as text, Amazon SNS among them.
  if (type.startsWith("text/") && !/^\s*[{[]/.test(text)) return text;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new TsdevError("invalid_input", { message: "the body is not JSON", fix: "send JSON", cause });
  }
}
