// Who may send a message by gRPC, and how many messages are received and held at once; asked before a message is read.
import {
  type Metadata,
  Metadata as MetadataOf,
  ServerInterceptingCall,
  type ServerInterceptor,
  type StatusObject,
} from "@grpc/grpc-js";
import { refusal } from "./answer.ts";
import { encodeFields } from "./protobuf.ts";
import { BodyRefused, tooMuch } from "./request-body.ts";
import type { Tenant } from "./tables.ts";

/** Messages that are received at once; others wait unread, in the sender's window. */
const receivingLimit = 16;
/** Longest time for the bytes of a message, in milliseconds, so that a sender that says nothing holds no place. */
const receivingMs = 30_000;
/** Most bytes of messages that wait to be stored. */
const heldLimit = 256 * 1024 * 1024;

export class GrpcAdmission {
  readonly #authenticate: (authorization: string | undefined) => Promise<Tenant | null>;
  readonly #receivingMs: number;
  readonly #tenants = new WeakMap<Metadata, Tenant>();
  readonly #waiting: Array<() => void> = [];
  #receiving = 0;
  #held = 0;

  constructor(
    authenticate: (authorization: string | undefined) => Promise<Tenant | null>,
    options: { receivingMs?: number } = {},
  ) {
    this.#authenticate = authenticate;
    this.#receivingMs = options.receivingMs ?? receivingMs;
  }

  /** Whose call it is that was let in with this metadata. */
  tenantOf(metadata: Metadata): Tenant {
    const tenant = this.#tenants.get(metadata);
    if (tenant === undefined) throw new Error("a call that nobody let in");
    return tenant;
  }

  /** For the server's `interceptors`. */
  readonly interceptor: ServerInterceptor = (_method, call) => {
    let held = 0;
    let timer: NodeJS.Timeout | undefined;
    let ended = false;
    const received = () => {
      if (timer === undefined) return;
      clearTimeout(timer);
      timer = undefined;
      this.#leave();
    };
    const over = () => {
      ended = true;
      received();
      this.#held -= held;
      held = 0;
    };
    const refuse = (error: unknown) => intercepting.sendStatus(statusOf(error));
    const admit = async (metadata: Metadata) => {
      const [authorization] = metadata.get("authorization");
      const tenant = await this.#authenticate(authorization?.toString());
      if (tenant === null) throw new BodyRefused(401, "the metadata authorization has no token that is known");
      this.#tenants.set(metadata, tenant);
      await this.#enter();
      if (ended) return this.#leave();
      timer = setTimeout(() => refuse(new BodyRefused(408, "the message took too long")), this.#receivingMs);
    };
    const intercepting = new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata: (metadata, pass) => {
            admit(metadata).then(() => pass(metadata), refuse);
          },
          onReceiveMessage: (message: Buffer, pass) => {
            received();
            if (this.#held > 0 && this.#held + message.length > heldLimit) return refuse(tooMuch());
            held = message.length;
            this.#held += held;
            pass(message);
          },
          onCancel: over,
        }),
      sendStatus: (status, pass) => {
        over();
        pass(status);
      },
    });
    return intercepting;
  };

  async #enter(): Promise<void> {
    if (this.#receiving < receivingLimit) this.#receiving++;
    else await new Promise<void>((turn) => this.#waiting.push(turn));
  }

  #leave(): void {
    // The place is handed on, so that nobody comes in between.
    const next = this.#waiting.shift();
    if (next === undefined) this.#receiving--;
    else next();
  }
}

/** What a sender is told; with RetryInfo where it may come again, without which RESOURCE_EXHAUSTED is final. */
export function statusOf(error: unknown): StatusObject {
  const { code, message, retryAfterS } = refusal(error);
  const metadata = new MetadataOf();
  if (retryAfterS !== undefined) {
    const retryInfo = encodeFields([[1, encodeFields([[1, retryAfterS]])]]);
    const any = encodeFields([
      [1, "type.googleapis.com/google.rpc.RetryInfo"],
      [2, retryInfo],
    ]);
    const status = encodeFields([
      [1, code],
      [2, message],
      [3, any],
    ]);
    metadata.set("grpc-status-details-bin", status);
  }
  return { code, details: message, metadata };
}
