// Master key: 32 random bytes in a file of mode 0600, from which every other key on this machine is derived.
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";
import { link, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { TsdevError } from "../../sdk/errors.ts";

const keyBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;

/** Seals values at rest and derives purpose-bound keys. */
export class MasterKey {
  readonly #key: Buffer;

  constructor(key: Buffer) {
    if (key.length !== keyBytes) {
      throw new TsdevError("invalid_config", {
        message: `the master key has ${key.length} bytes instead of ${keyBytes}`,
        fix: "restore the key file from a backup; without it sealed values cannot be read",
      });
    }
    this.#key = key;
  }

  /** A key of 32 bytes for one purpose (HKDF-SHA256). */
  derive(purpose: string): Buffer {
    return Buffer.from(hkdfSync("sha256", this.#key, "", `tsdev:${purpose}`, keyBytes));
  }

  /** Encrypts with AES-256-GCM; `bound` (for example the row's id) must be the same when opening. */
  seal(plain: string, bound: string): Buffer {
    const nonce = randomBytes(nonceBytes);
    const cipher = createCipheriv("aes-256-gcm", this.derive("seal"), nonce).setAAD(Buffer.from(bound));
    const body = Buffer.concat([cipher.update(plain, "utf8"), cipher.final()]);
    return Buffer.concat([nonce, cipher.getAuthTag(), body]);
  }

  /** Decrypts what `seal` made; throws TsdevError `internal` when it was changed or bound to something else. */
  open(sealed: Buffer, bound: string): string {
    try {
      const nonce = sealed.subarray(0, nonceBytes);
      const decipher = createDecipheriv("aes-256-gcm", this.derive("seal"), nonce, { authTagLength: tagBytes })
        .setAAD(Buffer.from(bound))
        .setAuthTag(sealed.subarray(nonceBytes, nonceBytes + tagBytes));
      return Buffer.concat([decipher.update(sealed.subarray(nonceBytes + tagBytes)), decipher.final()]).toString(
        "utf8",
      );
    } catch (cause) {
      throw new TsdevError("internal", {
        message: "a sealed value cannot be opened with this master key",
        fix: "restore the key file that belongs to this data directory",
        cause,
      });
    }
  }
}

/** Reads `directory/master.key`, making it on the first start; two starts at once end with one key. */
export async function openMasterKey(directory: string): Promise<MasterKey> {
  const path = join(directory, "master.key");
  const existing = await readFile(path).catch(() => null);
  if (existing) return new MasterKey(Buffer.from(existing.toString("utf8").trim(), "hex"));
  const temporary = `${path}.${process.pid}`;
  await writeFile(temporary, `${randomBytes(keyBytes).toString("hex")}\n`, { mode: 0o600 });
  // link fails when another start was first: then that one's key is the key
  await link(temporary, path).catch(() => undefined);
  await rm(temporary, { force: true });
  return new MasterKey(Buffer.from((await readFile(path, "utf8")).trim(), "hex"));
}
