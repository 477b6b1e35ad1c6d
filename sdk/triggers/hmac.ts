// HMAC: a signature over the body in a header, as GitHub, Shopify, Slack and most others send it.
import { createHmac } from "node:crypto";
import { checkTimestamp, readSecrets, type Secret, sameBytes, unauthenticated, type Verifier } from "./verifier.ts";

export interface HmacOptions {
  /** The header with the signature. */
  header: string;
  secret: Secret;
  /** Default: sha256. */
  algorithm?: "sha1" | "sha256" | "sha512";
  /** How the signature is written. Default: hex. */
  encoding?: "hex" | "base64";
  /** What stands before it, such as `sha256=`. */
  prefix?: string;
  /** When the sender signs a timestamp too: the signed bytes are `{before}{timestamp}{after}{body}`. */
  timestamp?: {
    /** The header with it, seconds since 1970. */
    header: string;
    before?: string;
    after?: string;
    /** An older one is a replay. Default: 300. */
    toleranceSeconds?: number;
  };
}

/**
 * Checks a signature over the body's bytes. Without `timestamp` a captured request can be sent again; it is the same
 * run then, as long as `delivery` is left to the digest of the body.
 *
 * @example
 * hmac({ header: "x-hub-signature-256", prefix: "sha256=", secret: () => process.env.GITHUB_WEBHOOK_SECRET })
 */
export function hmac(options: HmacOptions): Verifier {
  const { header, algorithm = "sha256", encoding = "hex", prefix = "", timestamp } = options;
  return {
    scheme: `${algorithm} in ${header}`,
    async verify(request, body) {
      const sent = request.headers.get(header);
      if (sent === null) throw unauthenticated(`there is no header ${header}`);
      if (!sent.startsWith(prefix)) throw unauthenticated(`${header} does not begin with ${prefix}`);
      let before = "";
      if (timestamp) {
        const at = request.headers.get(timestamp.header) ?? "";
        checkTimestamp(at, timestamp.toleranceSeconds ?? 300);
        before = `${timestamp.before ?? ""}${at}${timestamp.after ?? ""}`;
      }
      const signature = Buffer.from(sent.slice(prefix.length), encoding);
      for (const secret of await readSecrets(options.secret)) {
        const own = createHmac(algorithm, secret).update(before).update(body).digest();
        if (sameBytes(own, signature)) return;
      }
      throw unauthenticated(`${header} does not fit the body`);
    },
  };
}
