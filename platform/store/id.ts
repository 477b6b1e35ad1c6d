// Ids: a prefix that names the kind and 16 random characters without look-alikes, safe in URLs and host names.
import { customAlphabet } from "nanoid";

const random = customAlphabet("23456789abcdefghijkmnpqrstuvwxyz", 16);

/** Makes an id such as `dep_7k3m…`; 80 bits of randomness. */
export function newId(
  kind: "org" | "tok" | "prj" | "env" | "psh" | "rel" | "dep" | "ins" | "pr" | "cmt" | "fnd" | "sug" | "prf",
): string {
  return `${kind}_${random()}`;
}
