// Headers of a copy: `${secrets.NAME}` is filled from the environment's variables when a request is made, and not before.

const reference = /\$\{secrets\.([A-Za-z_][A-Za-z0-9_]*)\}/g;

/** A header names a variable that the environment does not have. */
export class SecretMissing extends Error {
  override name = "SecretMissing";
  constructor(name: string) {
    super(`the environment has no variable ${name}, which a header of the copy names`);
  }
}

/** The headers with every reference filled. Throws SecretMissing. */
export function filledHeaders(
  headers: Record<string, string>,
  values: ReadonlyMap<string, string>,
): Record<string, string> {
  const filled = Object.entries(headers).map(([name, text]) => [
    name,
    text.replace(reference, (_, secret: string) => {
      const value = values.get(secret);
      if (value === undefined) throw new SecretMissing(secret);
      return value;
    }),
  ]);
  return Object.fromEntries(filled) as Record<string, string>;
}

export function namesSecrets(headers: Record<string, string>): boolean {
  return Object.values(headers).some((text) => text.search(reference) >= 0);
}
