// Redaction by value: what may leave the process in a recording or a span, and what stands in for the rest.
import { createHash } from "node:crypto";

/** Stands where a secret stood. */
export const redacted = "[redacted]";

/** Names of headers, JSON keys, form fields and query parameters whose values never leave, whatever they look like. */
const secretName =
  /^(?:authorization|proxy-authorization|cookie|set-cookie|.*(?:password|passwd|passphrase|secret|token|api[-_]?key|private[-_]?key|signature|credential|session[-_]?id|cvc|cvv).*)$/i;
/** Keys that look like the ones above and hold no secret. */
const harmlessName =
  /(?:token|secret)[-_]?(?:type|count|limit|expires.*|name)$|^(?:max|total|prompt|completion)[-_]?tokens$/i;

/** Whether a value under this name is a secret. */
export function isSecretName(name: string): boolean {
  return secretName.test(name) && !harmlessName.test(name);
}

// Each pattern begins only where a run of its characters begins, so that no text takes time in its square.
const bearer = /\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}/gi;
const jwt = /(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*/g;
const prefixed =
  /\b(?:sk|pk|rk)_(?:live|test)_[A-Za-z0-9]{8,}|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}|\bxox[abposr]-[A-Za-z0-9-]{10,}|\bAKIA[0-9A-Z]{16}\b|\bwhsec_[A-Za-z0-9]{16,}|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g;
// Redis has no user: `redis://:password@host`.
const urlCredentials = /(?<![a-z0-9+.-])([a-z][a-z0-9+.-]{0,20}:\/\/)[^\s/:@]*:[^\s/@]+@/gi;
// What stands under a name within a text: in JSON that was cut or comes in lines, in the query or fragment of a URL, in
// a part of a form, in SQL.
const jsonMember = /"([\w.-]{1,64})"(\s{0,8}:\s{0,8})(?:"[^"\\]*(?:\\[\s\S][^"\\]*)*(?:"|\\?$)|-?\d[\d.]*)/g;
const urlParameter = /([?&#;])([\w.-]{1,64})=([^\s&#;"'<>]+)/g;
const formPart =
  /(content-disposition:[^\r\n]{0,200}?\bname="([^"\r\n]{0,200})"[^\r\n]{0,500}(?:\r\n[^\r\n]{1,500}){0,8}\r\n\r\n)(?:(?!\r\n--)[\s\S])*/gi;
const sqlLiteral =
  /(?<!\w)((?:"?([a-z_]{1,64})"?\s{0,4}=\s{0,4}|password\s{1,4}|identified\s{1,4}by\s{1,4})E?)'[^']*(?:''[^']*)*'/gi;
// 32 characters or more of one run with a lower case letter, an upper case letter and a digit: UUIDs and hexadecimal
// digests have no mixed case, words have no digits.
const longSecret =
  /(?<![A-Za-z0-9_+=-])(?=[A-Za-z0-9_+=-]*[a-z])(?=[A-Za-z0-9_+=-]*[A-Z])(?=[A-Za-z0-9_+=-]*\d)[A-Za-z0-9_+=-]{32,}/g;
const cardNumber = /(?<![\d.-])[3-6]\d(?:[ -]?\d){11,17}(?![\d.-])/g;
const email =
  /(?<![A-Za-z0-9.!#$%&*+/=?^_`{|}~-])[A-Za-z0-9.!#$%&*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+)/g;
const redactedLocalPart = /^user-[0-9a-f]{10}$/;

/** Whether a string of digits passes the check that every payment card number passes (ISO/IEC 7812, Luhn). */
export function passesLuhn(digits: string): boolean {
  let sum = 0;
  for (let index = 0; index < digits.length; index += 1) {
    let digit = digits.charCodeAt(digits.length - 1 - index) - 48;
    if (index % 2 === 1) {
      digit *= 2;
      if (digit > 9) digit -= 9;
    }
    sum += digit;
  }
  return sum % 10 === 0;
}

function withoutNamed(text: string): string {
  let result = text;
  if (result.includes('"')) {
    result = result.replace(jsonMember, (match, name: string, colon: string) =>
      isSecretName(name) ? `"${name}"${colon}"${redacted}"` : match,
    );
  }
  if (result.includes("=")) {
    result = result.replace(urlParameter, (match, before: string, name: string, value: string) =>
      isSecretName(name) && value !== encodeURIComponent(redacted) ? `${before}${name}=${redacted}` : match,
    );
    result = result.replace(formPart, (match, head: string, name: string) =>
      isSecretName(name) ? `${head}${redacted}` : match,
    );
  }
  if (result.includes("'")) {
    result = result.replace(sqlLiteral, (match, head: string, name: string | undefined) =>
      name === undefined || isSecretName(name) ? `${head}'${redacted}'` : match,
    );
  }
  return result;
}

function withoutCards(text: string): string {
  return text.replace(cardNumber, (match) => {
    const digits = match.replace(/\D/g, "");
    return digits.length >= 13 && digits.length <= 19 && passesLuhn(digits) ? redacted : match;
  });
}

// The same address always becomes the same address, so that a replayed look-up by it still finds one row or none.
function withoutAddresses(text: string): string {
  return text.replace(email, (match, domain: string) => {
    const local = match.slice(0, match.length - domain.length - 1);
    if (redactedLocalPart.test(local)) return match;
    const digest = createHash("sha256").update(match.toLowerCase()).digest("hex").slice(0, 10);
    return `user-${digest}@${domain}`;
  });
}

/**
 * A text without bearer tokens, JWTs, keys, card numbers, long secrets, what stands under a secret's name, and the local
 * parts of e-mail addresses.
 * Redacting twice gives what redacting once gives.
 */
export function redactText(text: string): string {
  let result = text;
  if (text.length >= 8) {
    result = result
      .replace(urlCredentials, `$1${redacted}@`)
      .replace(bearer, `$1 ${redacted}`)
      .replace(jwt, redacted)
      .replace(prefixed, redacted)
      .replace(longSecret, redacted);
    result = withoutCards(withoutNamed(result));
  }
  return result.includes("@") ? withoutAddresses(result) : result;
}

/** A JSON value with every string redacted, and everything under a secret's name replaced. */
export function redactValue(value: unknown, name?: string): unknown {
  if (
    name !== undefined &&
    value !== null &&
    typeof value !== "object" &&
    typeof value !== "boolean" &&
    isSecretName(name)
  ) {
    return redacted;
  }
  if (typeof value === "string") return redactText(value);
  if (typeof value === "number") {
    return Number.isInteger(value) && value > 3e12 && isCard(String(value)) ? 0 : value;
  }
  if (Array.isArray(value)) return value.map((item) => redactValue(item, name));
  if (value !== null && typeof value === "object") {
    const result: Record<string, unknown> = {};
    for (const [key, item] of Object.entries(value)) {
      Object.defineProperty(result, key, {
        value: redactValue(item, key),
        enumerable: true,
        configurable: true,
        writable: true,
      });
    }
    return result;
  }
  return value;
}

// A bare number is a card only with 15 or 16 digits: times in milliseconds have 13.
function isCard(digits: string): boolean {
  return (digits.length === 15 || digits.length === 16) && /^[3-6]/.test(digits) && passesLuhn(digits);
}

/** A path with query, or a whole URL, with secrets in parameters and path replaced. */
export function redactUrl(url: string): string {
  const question = url.indexOf("?");
  if (question < 0) return redactText(url);
  const parameters = url
    .slice(question + 1)
    .split("&")
    .map((pair) => {
      const equals = pair.indexOf("=");
      if (equals < 0) return redactText(pair);
      const name = pair.slice(0, equals);
      const value = pair.slice(equals + 1);
      if (value !== "" && isSecretName(decoded(name))) return `${name}=${encodeURIComponent(redacted)}`;
      const plain = decoded(value);
      const clean = redactText(plain);
      return clean === plain ? pair : `${name}=${encodeURIComponent(clean)}`;
    });
  return `${redactText(url.slice(0, question))}?${parameters.join("&")}`;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part.replaceAll("+", " "));
  } catch {
    return part;
  }
}
