// Webhook: a trigger that starts a run for each delivery of another service.
import { createHash } from "node:crypto";
import type { z } from "zod";
import { TsdevError } from "../errors.ts";
import type { AnyWorkflow } from "../workflows/definition.ts";
import type { WorkflowInput } from "../workflows/workflow.ts";
import { declareTrigger } from "./declare.ts";
import type { TriggerParts, WebhookTrigger } from "./trigger.ts";
import type { Verifier } from "./verifier.ts";

export interface WebhookParts<W extends AnyWorkflow, P extends z.ZodType> extends TriggerParts<W> {
  /** `hmac(…)`, `stripe(…)`, `standardWebhooks(…)`, one of your own, or `none()`. */
  verify: Verifier;
  /** The contract of the body: parsed JSON, the fields of a form, or a text, by its content type (JSON sent as text is JSON). */
  payload: P;
  /** The run's input. Undefined: no run. A Response: no run, and that is the answer, such as to a sender's handshake. */
  input: (payload: z.output<P>, request: Request) => WorkflowInput<NoInfer<W>> | Response | undefined;
  /** Default: `/webhooks/{name}`. */
  path?: `/${string}`;
  /**
   * The delivery's id: a header, or a function of the request. The same twice is one run. Default: what the signature
   * covers, which is the sender's id where the verifier knows it, else the SHA-256 of the body.
   */
  delivery?: string | ((request: Request, body: Uint8Array) => string);
  /** Default: 1 MiB. */
  maxBodyBytes?: number;
}

/**
 * Starts a run for each delivery, with the id `webhook:{name}:{delivery}`: one that is sent again is the same run.
 *
 * @example
 * export const onPush = webhook({
 *   name: "github-push",
 *   verify: hmac({ header: "x-hub-signature-256", prefix: "sha256=", secret: () => process.env.GITHUB_SECRET }),
 *   payload: z.object({ ref: z.string(), after: z.string() }),
 *   workflow: buildBranch,
 *   input: ({ ref, after }) => (ref === "refs/heads/main" ? { commit: after } : undefined),
 * });
 */
export function webhook<W extends AnyWorkflow, P extends z.ZodType>(parts: WebhookParts<W, P>): WebhookTrigger {
  const { verify, delivery } = parts;
  const common = declareTrigger(webhook, parts);
  // Reached from code that the compiler has not seen, and the one thing that must not be left out by mistake.
  if (typeof verify?.verify !== "function") {
    throw new TsdevError("invalid_config", {
      message: `webhook "${parts.name}" does not say how its sender is known`,
      fix: "give it `verify`: hmac, stripe, standardWebhooks, or none() when everybody may call it",
      path: "verify",
    });
  }
  return Object.freeze({
    ...common,
    on: "webhook" as const,
    path: parts.path ?? (`/webhooks/${parts.name}` as const),
    maxBodyBytes: parts.maxBodyBytes ?? 1024 * 1024,
    verify: (request: Request, body: Uint8Array) => verify.verify(request, body),
    deliveryId(request: Request, body: Uint8Array) {
      const said =
        typeof delivery === "function"
          ? delivery(request, body)
          : delivery !== undefined
            ? request.headers.get(delivery)
            : verify.deliveryId?.(request, body);
      if (!said) return digest(body);
      // It becomes part of a run's id, which stands in addresses.
      return /^[\w.=+:@-]{1,200}$/.test(said) ? said : digest(said);
    },
    payload: parts.payload,
    input: parts.input as WebhookTrigger["input"],
  });
}

function digest(bytes: Uint8Array | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}
