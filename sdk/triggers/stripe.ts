// Stripe: the header `stripe-signature` with a timestamp and one or more signatures, https://docs.stripe.com/webhooks/signature.
import { createHmac } from "node:crypto";
import { checkTimestamp, readSecrets, type Secret, sameBytes, unauthenticated, type Verifier } from "./verifier.ts";

/**
 * Checks Stripe's signature and its age. The delivery's id is that of Stripe's event (`evt_…`), so an event that Stripe
 * sends again is the same run.
 *
 * @example
 * stripe({ secret: () => process.env.STRIPE_WEBHOOK_SECRET })
 */
export function stripe(options: {
  secret: Secret;
  /** An older signature is a replay. Default: 300, as Stripe's own libraries. */
  toleranceSeconds?: number;
}): Verifier {
  const { toleranceSeconds = 300 } = options;
  return {
    scheme: "stripe",
    async verify(request, body) {
      const header = request.headers.get("stripe-signature");
      if (header === null) throw unauthenticated("there is no header stripe-signature");
      const parts = header.split(",").map((part) => part.trim().split("=", 2) as [string, string | undefined]);
      const at = parts.find(([key]) => key === "t")?.[1] ?? "";
      const signatures = parts.filter(([key]) => key === "v1").map(([, value]) => Buffer.from(value ?? "", "hex"));
      if (signatures.length === 0) throw unauthenticated("stripe-signature has no signature of the scheme v1");
      let fits = false;
      for (const secret of await readSecrets(options.secret)) {
        const own = createHmac("sha256", secret).update(`${at}.`).update(body).digest();
        for (const signature of signatures) fits = sameBytes(own, signature) || fits;
      }
      if (!fits) throw unauthenticated("stripe-signature does not fit the body");
      checkTimestamp(at, toleranceSeconds);
    },
    deliveryId(_request, body) {
      try {
        const { id } = JSON.parse(Buffer.from(body).toString("utf8")) as { id?: unknown };
        return typeof id === "string" ? id : undefined;
      } catch {
        return undefined;
      }
    },
  };
}
