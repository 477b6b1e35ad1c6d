// Webhooks: bodies signed by the senders' own libraries are taken, everything else is refused, and a delivery is one run.
import { createHmac } from "node:crypto";
import { sign } from "@octokit/webhooks-methods";
import { Webhook } from "standardwebhooks";
import Stripe from "stripe";
import { expect, test } from "vitest";
import { z } from "zod";
import type { Log } from "../log.ts";
import { procedure } from "../procedures/procedure.ts";
import type { AnyWorkflow } from "../workflows/definition.ts";
import { workflow } from "../workflows/workflow.ts";
import { BegunRuns } from "./begun-runs.fixture.ts";
import { handleWebhook } from "./handle-webhook.ts";
import { hmac } from "./hmac.ts";
import { none } from "./none.ts";
import { standardWebhooks } from "./standard-webhooks.ts";
import { stripe } from "./stripe.ts";
import type { Verifier } from "./verifier.ts";
import { type WebhookParts, webhook } from "./webhook.ts";

const build = procedure({
  name: "build",
  input: z.object({ ref: z.string() }),
  output: z.object({ built: z.boolean() }),
  handler: () => ({ built: true }),
});
const onPush = workflow("on-push")
  .input(z.object({ ref: z.string() }))
  .step(build);
const Payload = z.object({ ref: z.string() });

/** What a sender may put around the bytes that it signed: spaces, an escape, a character of two bytes. */
const text = '{ "ref":"refs\\/heads/main", "by":"Zoë" ,"id":"evt_1"}';
const secret = "It's a Secret to Everybody";
const github = () => hmac({ header: "x-hub-signature-256", prefix: "sha256=", secret: () => secret });

function receiver(verify: Verifier, more: Partial<WebhookParts<AnyWorkflow, typeof Payload>> = {}) {
  const begun = new BegunRuns();
  const lines: string[] = [];
  const note = (...line: unknown[]) => void lines.push(JSON.stringify(line, (_, value) => value?.stack ?? value));
  const log: Log = { debug: note, info: note, warn: note, error: note };
  const input = ({ ref }: { ref: string }) => ({ ref });
  const trigger = webhook({ name: "push", verify, payload: Payload, workflow: onPush, input, ...more });
  const post = (headers: Record<string, string>, body: string | URLSearchParams = text) =>
    handleWebhook(trigger, begun.engine(), new Request("http://app/webhooks/push", { method: "POST", headers, body }), {
      log,
    });
  return { begun, lines, post, trigger };
}
const json = (response: Response) => response.json() as Promise<Record<string, string>>;

test("a delivery signed as GitHub signs is one run, also when it is sent again", async () => {
  const { begun, post } = receiver(github(), { delivery: "x-github-delivery" });
  const headers = { "x-hub-signature-256": await sign(secret, text), "x-github-delivery": "72d3162e-cc78" };
  const first = await post(headers);
  expect(first.status).toBe(202);
  expect(await json(first)).toEqual({ runId: "webhook:push:72d3162e-cc78" });
  const second = await post(headers);
  expect(second.status).toBe(200);
  expect(await json(second)).toEqual({ runId: "webhook:push:72d3162e-cc78" });
  expect([...begun.runs.values()]).toMatchObject([
    { input: { ref: "refs/heads/main" }, origin: { kind: "webhook", name: "push", id: "72d3162e-cc78" }, starts: 1 },
  ]);
});

test("deliveries that race are one run", async () => {
  const { begun, post } = receiver(github());
  const headers = { "x-hub-signature-256": await sign(secret, text) };
  const answers = await Promise.all(Array.from({ length: 8 }, () => post(headers).then(json)));
  expect(new Set(answers.map(({ runId }) => runId)).size).toBe(1);
  expect(begun.runs.size).toBe(1);
});

test("without an id of the sender's the digest of the body is the id, and a header cannot make it another", async () => {
  const { post } = receiver(github());
  const signed = { "x-hub-signature-256": await sign(secret, text) };
  const first = await json(await post(signed));
  expect(first.runId).toMatch(/^webhook:push:[0-9a-f]{64}$/);
  expect((await post({ ...signed, "x-github-delivery": "another" })).status).toBe(200);
});

test.each([
  ["another secret", async () => ({ "x-hub-signature-256": await sign("guess", text) })],
  ["another body", async () => ({ "x-hub-signature-256": await sign(secret, `${text} `) })],
  ["no header", async () => ({})],
  ["no prefix", async () => ({ "x-hub-signature-256": (await sign(secret, text)).slice(7) })],
  ["half a signature", async () => ({ "x-hub-signature-256": (await sign(secret, text)).slice(0, 39) })],
  ["an empty one", async () => ({ "x-hub-signature-256": "sha256=" })],
] as [string, () => Promise<Record<string, string>>][])("%s is refused, and nothing begins", async (_, headers) => {
  const { begun, post, lines } = receiver(github());
  const response = await post(await headers());
  expect(response.status).toBe(401);
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  const body = await response.text();
  expect(JSON.parse(body)).toMatchObject({ code: "unauthenticated", status: 401 });
  expect(begun.runs.size).toBe(0);
  for (const told of [body, ...lines]) {
    expect(told).not.toContain(secret);
    expect(told).not.toContain("Zoë");
  }
});

test("Stripe's own library signs; the event's id is the delivery, and an old signature is a replay", async () => {
  const { begun, post } = receiver(stripe({ secret: () => ["whsec_old", "whsec_new"] }));
  const header = (secret: string, timestamp?: number) =>
    Stripe.webhooks.generateTestHeaderString({ payload: text, secret, ...(timestamp ? { timestamp } : {}) });
  expect((await post({ "stripe-signature": header("whsec_new") })).status).toBe(202);
  expect((await post({ "stripe-signature": header("whsec_old") })).status).toBe(200);
  expect([...begun.runs.keys()]).toEqual(["webhook:push:evt_1"]);
  const now = Math.floor(Date.now() / 1_000);
  for (const [secret, at] of [
    ["whsec_guess", now],
    ["whsec_new", now - 310],
    ["whsec_new", now + 310],
  ] as const) {
    expect((await post({ "stripe-signature": header(secret, at) })).status).toBe(401);
  }
  const fresh = header("whsec_new", now - 310).replace(`t=${now - 310}`, `t=${now}`);
  expect((await post({ "stripe-signature": fresh })).status).toBe(401);
  expect((await post({ "stripe-signature": "t=,v1=" })).status).toBe(401);
});

test("the library of Standard Webhooks signs; its id is the delivery", async () => {
  const key = `whsec_${Buffer.from("twenty-four bytes, truly").toString("base64")}`;
  const sender = new Webhook(key);
  const { begun, post } = receiver(standardWebhooks({ secret: () => key }));
  const headers = (id: string, at = new Date(), prefix = "webhook") => ({
    [`${prefix}-id`]: id,
    [`${prefix}-timestamp`]: `${Math.floor(at.getTime() / 1_000)}`,
    [`${prefix}-signature`]: `v1,AAAA ${sender.sign(id, at, text)}`,
  });
  expect((await post(headers("msg_1"))).status).toBe(202);
  expect((await post(headers("msg_2", new Date(), "svix"))).status).toBe(202);
  expect([...begun.runs.keys()]).toEqual(["webhook:push:msg_1", "webhook:push:msg_2"]);
  expect((await post({ ...headers("msg_1"), "webhook-id": "msg_3" })).status).toBe(401);
  expect((await post(headers("msg_4", new Date(Date.now() - 400_000)))).status).toBe(401);
  expect(begun.runs.size).toBe(2);
});

test("a signature over timestamp and body is checked, as Slack's", async () => {
  const timestamp = { header: "x-slack-request-timestamp", before: "v0:", after: ":" };
  const { post } = receiver(hmac({ header: "x-slack-signature", prefix: "v0=", secret: () => secret, timestamp }));
  const headers = (at: number) => ({
    "x-slack-request-timestamp": `${at}`,
    "x-slack-signature": `v0=${createHmac("sha256", secret).update(`v0:${at}:${text}`).digest("hex")}`,
  });
  const now = Math.floor(Date.now() / 1_000);
  expect((await post(headers(now))).status).toBe(202);
  expect((await post(headers(now - 301))).status).toBe(401);
  const messageOf = async (at: number) => (await json(await post(headers(at)))).message;
  expect(await messageOf(now - 301)).toContain("more than 300 s ago");
  for (const ahead of [now + 305, now * 1_000]) {
    expect(await messageOf(ahead)).toMatch(/more than 300 s from now.*clock.*milliseconds/);
  }
  expect((await post({ ...headers(now), "x-slack-request-timestamp": "soon" })).status).toBe(401);
});

test("a secret that is not set refuses everything, and lets the sender try again", async () => {
  for (const missing of [undefined, "", []]) {
    const { begun, post } = receiver(hmac({ header: "x-signature", secret: () => missing }));
    const forged = createHmac("sha256", "").update(text).digest("hex");
    expect((await post({ "x-signature": forged })).status).toBe(503);
    expect(begun.runs.size).toBe(0);
  }
});

test("a body that is too long, no JSON, or not what the contract says is told as such", async () => {
  const { begun, post } = receiver(none(), { maxBodyBytes: 100 });
  const long = await post({}, "x".repeat(101));
  expect(long.status).toBe(413);
  const chunks = new ReadableStream({
    pull: (controller) => controller.enqueue(new Uint8Array(64)),
  });
  const request = new Request("http://app", { method: "POST", body: chunks, duplex: "half" } as RequestInit);
  const { trigger } = receiver(none(), { maxBodyBytes: 100 });
  expect((await handleWebhook(trigger, begun.engine(), request, { log: console as unknown as Log })).status).toBe(413);
  expect((await post({}, "{")).status).toBe(400);
  const wrong = await post({}, '{"ref":1}');
  expect(wrong.status).toBe(400);
  expect(await json(wrong)).toMatchObject({ code: "invalid_input", path: "ref" });
  expect(begun.runs.size).toBe(0);
});

test("a form is its fields, a text is itself", async () => {
  const form = receiver(none());
  await form.post({}, new URLSearchParams({ ref: "a b" }));
  expect([...form.begun.runs.values()]).toMatchObject([{ input: { ref: "a b" } }]);
  const plain = receiver(none(), { payload: z.string(), input: (ref: string) => ({ ref }) } as object);
  await plain.post({ "content-type": "text/plain" }, "main");
  expect([...plain.begun.runs.values()]).toMatchObject([{ input: { ref: "main" } }]);
});

test("a delivery that leads to no run is answered 204, a handshake with what it asks for", async () => {
  const ignoring = receiver(none(), { input: () => undefined });
  expect((await ignoring.post({})).status).toBe(204);
  const shaking = receiver(none(), { input: ({ ref }) => new Response(ref) });
  expect(await (await shaking.post({})).text()).toBe("refs/heads/main");
  expect(ignoring.begun.runs.size + shaking.begun.runs.size).toBe(0);
});

test("a fault of the app's own is logged with its cause and told without", async () => {
  const failing = receiver(none(), {
    input: () => {
      throw new Error("the table of branches is broken");
    },
  });
  const response = await failing.post({});
  expect(response.status).toBe(500);
  expect(await response.text()).not.toContain("branches");
  expect(failing.lines.join()).toContain("the table of branches is broken");
});

test("an id that would not do in an address becomes its digest", async () => {
  const { post } = receiver(none(), { delivery: "x-id" });
  expect((await json(await post({ "x-id": "../../etc?x=1" }))).runId).toMatch(/^webhook:push:[0-9a-f]{64}$/);
});

test("a webhook that does not say how its sender is known cannot be declared", () => {
  expect(() => receiver(undefined as never)).toThrow(/webhook "push" does not say how its sender is known/);
});
