// Read body: a request's body as JSON or as the fields of a form, within a limit that also holds for one of no stated length.
import type { Context } from "hono";
import { TsdevError } from "../errors.ts";

/**
 * The JSON of the body; undefined for an empty one. `known`: the types to name when it is of another one. Throws
 * `payload_too_large`, `unsupported_media_type`, `invalid_input`.
 */
export async function readJson(c: Context, maxBytes: number, known?: readonly string[]): Promise<unknown> {
  return parseJson(await readJsonText(c, maxBytes, known));
}

/** The text that `parseJson` takes; what is wrong with the headers is thrown at once. */
export function readJsonText(
  c: Context,
  maxBytes: number,
  known: readonly string[] = ["application/json"],
): Promise<string> {
  const type = c.req.header("content-type");
  if (type !== undefined && !isJson(type)) throw unsupported(type, known);
  if (isLengthKnown(c, maxBytes)) return c.req.text();
  return readLimited(c, maxBytes).then((bytes) => new TextDecoder().decode(bytes));
}

/** Undefined for an empty text. Throws `invalid_input`. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    if (text.trim() === "") return undefined;
    throw new TsdevError("invalid_input", { message: "the body is not JSON", fix: "send JSON", cause });
  }
}

/**
 * The fields of a form: a text or a file, or a list where a name is repeated. A field `$json` is the whole input as JSON,
 * and the files stand at the places (`items.0.photo`) that their names say: what the typed client sends.
 */
export async function readForm(
  c: Context,
  maxBytes: number,
): Promise<{ fields: Record<string, unknown>; isJson: boolean }> {
  const type = c.req.header("content-type") ?? "";
  const bytes = isLengthKnown(c, maxBytes) ? await c.req.arrayBuffer() : await readLimited(c, maxBytes);
  let form: FormData;
  try {
    form = await new Response(bytes as Uint8Array<ArrayBuffer>, { headers: { "content-type": type } }).formData();
  } catch (cause) {
    throw new TsdevError("invalid_input", {
      message: "the body is no multipart/form-data",
      fix: "send a form as RFC 7578 describes it",
      cause,
    });
  }
  const whole = form.get("$json");
  if (typeof whole === "string") return { fields: withFiles(whole, form), isJson: true };
  const fields = new Map<string, unknown[]>();
  for (const [name, value] of form) {
    const there = fields.get(name);
    if (there) there.push(value);
    else fields.set(name, [value]);
  }
  const entries = [...fields].map(([name, values]) => [name, values.length === 1 ? values[0] : values]);
  return { fields: Object.fromEntries(entries), isJson: false };
}

export function isForm(c: Context): boolean {
  return /^multipart\/form-data\s*(?:;|$)/i.test(c.req.header("content-type") ?? "");
}

/** `application/json`, and any type that RFC 6839 says is JSON. */
function isJson(type: string): boolean {
  return type === "application/json" || /^(?:application\/json|[\w.+-]+\/[\w.-]+\+json)\s*(?:;|$)/i.test(type);
}

function unsupported(type: string, known: readonly string[]): TsdevError {
  return new TsdevError("unsupported_media_type", {
    message: `the body is of the type ${type.split(";", 1)[0]}`,
    fix: `send Content-Type: ${known.join(" or ")}`,
  });
}

/** False where the length is not told: the body must be counted while it is read. */
function isLengthKnown(c: Context, maxBytes: number): boolean {
  const length = c.req.header("content-length");
  if (length === undefined || c.req.raw.bodyUsed) return c.req.raw.bodyUsed || c.req.raw.body === null;
  if (Number(length) > maxBytes) throw tooLarge(maxBytes);
  return c.req.header("transfer-encoding") === undefined;
}

async function readLimited(c: Context, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of c.req.raw.body as unknown as AsyncIterable<Uint8Array>) {
    length += chunk.byteLength;
    if (length > maxBytes) throw tooLarge(maxBytes);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function tooLarge(maxBytes: number): TsdevError {
  return new TsdevError("payload_too_large", {
    message: `the body is larger than the ${maxBytes} bytes that this app allows`,
    fix: "send less, or raise maxBodyBytes of createApp",
  });
}

function withFiles(json: string, form: FormData): Record<string, unknown> {
  let whole: unknown;
  try {
    whole = JSON.parse(json);
  } catch (cause) {
    throw new TsdevError("invalid_input", { message: "the field $json is not JSON", fix: "send JSON", cause });
  }
  for (const [path, file] of form) {
    if (path === "$json") continue;
    const keys = path.split(".");
    const last = keys.pop()!;
    let place: unknown = whole;
    for (const key of keys) place = isContainer(place) && Object.hasOwn(place, key) ? place[key] : undefined;
    // Only where the JSON left a place for it: a name is not a way into a prototype.
    if (isContainer(place) && Object.hasOwn(place, last)) place[last] = file;
  }
  return whole as Record<string, unknown>;
}

function isContainer(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !(value instanceof Blob);
}
