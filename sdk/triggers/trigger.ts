// Trigger: what leads from something outside to a run that can be found again.
import type { z } from "zod";
import type { Log } from "../log.ts";
import type { Principal } from "../procedures/procedure.ts";
import type { SourceLocation } from "../source-location.ts";
import type { AnyWorkflow } from "../workflows/definition.ts";
import type { AnyEvent } from "../workflows/event.ts";

interface Common {
  readonly kind: "trigger";
  readonly name: string;
  readonly workflow: AnyWorkflow;
  /** On whose behalf its runs are. Undefined: on nobody's. */
  readonly principal: Principal | undefined;
  /** What it refers to, for the registry: its workflow, and its event where it has one. */
  readonly declarations: readonly (AnyWorkflow | AnyEvent)[];
  /** Where it is declared. */
  readonly source: SourceLocation | undefined;
}

/** Fires by the clock. One scheduled time is one run, however many schedulers there are. */
export interface CronTrigger extends Common {
  readonly on: "cron";
  /** Five or six fields, or a nickname such as `@daily`. */
  readonly schedule: string;
  /** An IANA name. */
  readonly timeZone: string;
  /** What becomes of times that passed while no scheduler ran: none, the latest one, or each of them (at most 100). */
  readonly missed: "skip" | "once" | "all";
  input(at: Date): unknown;
}

/** A request of another service, whose signature is checked and whose delivery counts once. */
export interface WebhookTrigger extends Common {
  readonly on: "webhook";
  /** Served at POST /webhooks/{name} unless it says otherwise. */
  readonly path: `/${string}`;
  /** A longer body is refused, bytes. */
  readonly maxBodyBytes: number;
  /** Throws `unauthenticated` when the request was not signed by who it should be; gets the body's bytes as they came. */
  verify(request: Request, body: Uint8Array): Promise<void> | void;
  /** The delivery's id: the same twice is one run. */
  deliveryId(request: Request, body: Uint8Array): string;
  /** The contract of the parsed body. */
  readonly payload: z.ZodType;
  /** Undefined: this delivery leads to no run. A Response: neither, and that is the answer. */
  input(payload: unknown, request: Request): unknown;
}

/** Hands a message on; resolves when its run is durably begun. Throws `invalid_input` for one that can never be. */
export type Deliver = (id: string, message: unknown) => Promise<void>;

/** Another queue that is read. `open` begins to read and answers how to stop. */
export interface MessageSource {
  open(deliver: Deliver, parts: { log: Log; trigger: string }): Promise<() => Promise<void>>;
}

/** Messages of a queue: the engine's own, or one of BullMQ. */
export interface QueueTrigger extends Common {
  readonly on: "queue";
  readonly message: z.ZodType;
  input(message: unknown): unknown;
  /** Undefined: messages come by `enqueue`. */
  readonly from: MessageSource | undefined;
}

/** Events of the app itself. */
export interface EventTrigger extends Common {
  readonly on: "event";
  readonly event: AnyEvent;
  filter(payload: unknown): boolean;
  input(payload: unknown): unknown;
}

export type AnyTrigger = CronTrigger | WebhookTrigger | QueueTrigger | EventTrigger;

/** What every declaration of a trigger takes. */
export interface TriggerParts<W extends AnyWorkflow> {
  /** Part of the id of each of its runs: letters, digits, `.`, `_` and `-`. */
  name: string;
  /** What it starts. */
  workflow: W;
  /** On whose behalf its runs are: `ctx.principal` of their steps. Default: nobody's. */
  principal?: Principal;
}
