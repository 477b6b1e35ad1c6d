// Start: what `--import @tsdev/sdk/register` turns on, in the order that the parts need.
import { startContext } from "./active-context.ts";
import { Delivery } from "./delivery.ts";
import { type AnyDelivery, flushAtExit } from "./exit.ts";
import { OutgoingRecorder } from "./outgoing-recorder.ts";
import { startTracing } from "./pipeline.ts";
import type { Recording } from "./recording.ts";
import { type PendingRecording, RequestRecorder } from "./request-recorder.ts";
import { installRequestScopes } from "./request-scope.ts";
import type { Settings } from "./settings.ts";

const recorderName = Symbol.for("tsdev.recorder");

export async function start(settings: Settings): Promise<void> {
  const realNow = Date.now;
  startContext();
  if (settings.replay) {
    const { startReplay } = await import("./replay/replay.ts");
    startReplay(settings.replay, settings.endpoint);
  }
  if (!settings.tracing) return;
  const deliveries: AnyDelivery[] = [];
  const outgoing = settings.recording ? startRecording(settings, deliveries) : undefined;
  deliveries.push(startTracing(settings, outgoing, settings.replay?.deterministic ? realNow : undefined));
  if (settings.metrics.on) {
    const { startMetrics } = await import("../metrics/start-metrics.ts");
    deliveries.push(startMetrics(settings));
  }
  flushAtExit(deliveries);
}

function startRecording(settings: Settings, deliveries: AnyDelivery[]): OutgoingRecorder {
  const delivery = new Delivery<PendingRecording>({
    url: `${settings.endpoint}/v1/recordings`,
    headers: settings.headers,
    contentType: "application/json",
    // A recording may hold 64 kB, and looking at each byte takes its time on the main thread.
    maxItems: 16,
    delayMs: 500,
    maxQueued: 5_000,
    encode: (pending) => {
      const recordings = pending.flatMap((make) => made(make) ?? []);
      return Buffer.from(JSON.stringify({ deployment: settings.resource["tsdev.deployment"], recordings }));
    },
  });
  deliveries.push(delivery);
  const keep = (recording: PendingRecording) => delivery.add(recording);
  const requests = new RequestRecorder(settings.recordExclude, keep);
  installRequestScopes((request, response) => requests.open(request, response));
  Object.defineProperty(globalThis, recorderName, { value: requests, configurable: true });
  return new OutgoingRecorder(keep);
}

// One that cannot be made must not cost the others of its batch.
function made(make: PendingRecording): Recording | undefined {
  try {
    return make();
  } catch {
    return undefined;
  }
}
