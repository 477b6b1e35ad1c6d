// Standard Webhooks: the headers `webhook-id`, `webhook-timestamp`, `webhook-signature`, https://www.standardwebhooks.com.
import { createHmac } from "node:crypto";
import { TsdevError } from "../errors.ts";
import { checkTimestamp, readSecrets, type Secret, sameBytes, unauthenticated, type Verifier } from "./verifier.ts";

/**
 * Checks a signature of the scheme `v1` and its age; senders on Svix (`svix-…` headers) sign the same way. The
 * delivery's id is `webhook-id`, which the signature covers.
 *
 * @example
 * standardWebhooks({ secret: () => process.env.RESEND_WEBHOOK_SECRET })
 */
export function standardWebhooks(options: {
  /** `whsec_` and the key in base64, or that without the prefix. */
  secret: Secret;
  /** An older signature is a replay. Default: 300, as the standard's own libraries. */
  toleranceSeconds?: number;
}): Verifier {
  const { toleranceSeconds = 300 } = options;
  return {
    scheme: "standard-webhooks",
    async verify(request, body) {
      const id = read(request, "id");
      const at = read(request, "timestamp");
      const signatures = (read(request, "signature") ?? "").split(" ").filter((one) => one.startsWith("v1,"));
      if (!id || !at) throw unauthenticated("there is no header webhook-id or webhook-timestamp");
      if (signatures.length === 0) throw unauthenticated("webhook-signature has no signature of the scheme v1");
      let fits = false;
      for (const secret of await readSecrets(options.secret)) {
        const own = createHmac("sha256", keyOf(secret)).update(`${id}.${at}.`).update(body).digest();
        for (const one of signatures) fits = sameBytes(own, Buffer.from(one.slice(3), "base64")) || fits;
      }
      if (!fits) throw unauthenticated("webhook-signature does not fit the body");
      checkTimestamp(at, toleranceSeconds);
    },
    deliveryId: (request) => read(request, "id"),
  };
}

function read(request: Request, part: "id" | "timestamp" | "signature"): string | undefined {
  return request.headers.get(`webhook-${part}`) ?? request.headers.get(`svix-${part}`) ?? undefined;
}

function keyOf(secret: string): Uint8Array {
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  if (key.length > 0) return key;
  throw new TsdevError("unavailable", {
    message: "the secret of this webhook is not a key in base64",
    fix: "set it as the sender shows it, with whsec_ in front",
  });
}
