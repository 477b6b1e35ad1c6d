// Replay: the app answers recorded requests, cut off from the outside world, which the sink plays.
import { syncBuiltinESMExports } from "node:module";
import { installRequestScopes } from "../request-scope.ts";
import type { ReplaySettings } from "../settings.ts";
import { installDeterminism, RequestDeterminism, replayTime } from "./determinism.ts";
import { redirectNodeHttp } from "./node-http.ts";
import { requestIdHeader } from "./original-url.ts";
import { Sink } from "./sink.ts";
import { guardSockets } from "./sockets.ts";
import { redirectUndici } from "./undici.ts";

/** The header with the time at which a deterministic replay of the request begins. */
export const replayTimeHeader = "x-tsdev-replay-time";

/** Must be called after the context manager and before the instrumentations. */
export function startReplay(settings: ReplaySettings, otlpEndpoint: string): void {
  const sink = new Sink(settings, otlpEndpoint);
  guardSockets(sink);
  redirectNodeHttp(sink);
  redirectUndici(sink);
  installRequestScopes((request) => {
    const id = request.headers[requestIdHeader];
    if (id === undefined) return undefined;
    const determinism = settings.deterministic
      ? new RequestDeterminism(String(id), replayTime(request.headers[replayTimeHeader]))
      : undefined;
    return { id: String(id), recorded: undefined, determinism };
  });
  if (settings.deterministic) installDeterminism();
  syncBuiltinESMExports();
}
