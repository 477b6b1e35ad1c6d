// Hooks over the API: cached reads, writes that refresh what they change, and streams that come back after a cut.
import {
  QueryCache,
  QueryClient,
  type UseQueryResult,
  useMutation,
  useQuery,
  useQueryClient,
} from "@tanstack/react-query";
import { useEffect, useEffectEvent, useState, useSyncExternalStore } from "react";
import { ApiError, follow, read, write } from "./client.ts";
import { noticeError } from "./session.ts";
import type { Reads, Streams, Writes } from "./types.ts";

/** How often something is asked for again while it changes. */
export const liveMs = 2000;
/** How often where it may change at any time. */
export const calmMs = 15_000;
const reconnectMs = 1500;

export function createQueryClient(): QueryClient {
  return new QueryClient({
    queryCache: new QueryCache({ onError: noticeError }),
    defaultOptions: {
      queries: {
        staleTime: 1000,
        retry: (failures, error) => ApiError.from(error).code === "unavailable" && failures < 3,
        retryDelay: 500,
      },
    },
  });
}

export function useRead<Name extends keyof Reads & string>(
  operation: Name,
  input: Reads[Name]["input"],
  options: {
    enabled?: boolean;
    /** Milliseconds until it is asked for again, or a rule that says so from what is known. */
    every?: number | false | ((data: Reads[Name]["output"] | undefined) => number | false);
  } = {},
): UseQueryResult<Reads[Name]["output"], ApiError> {
  const { every = false, enabled = true } = options;
  return useQuery<Reads[Name]["output"], ApiError>({
    queryKey: [operation, input],
    queryFn: ({ signal }) => read(operation, input, signal),
    enabled,
    refetchInterval: (query) => (typeof every === "function" ? every(query.state.data) : every),
  });
}

/** A change; afterwards everything that is on the page is asked for again. */
export function useWrite<Name extends keyof Writes & string>(
  operation: Name,
  onDone?: (output: Writes[Name]["output"]) => void,
) {
  const client = useQueryClient();
  return useMutation<Writes[Name]["output"], ApiError, Writes[Name]["input"]>({
    mutationFn: (input) => write(operation, input),
    onError: noticeError,
    onSuccess: async (output) => {
      await client.invalidateQueries();
      onDone?.(output);
    },
  });
}

export type StreamState = "connecting" | "open" | "ended" | "broken";

function useVisible(): boolean {
  return useSyncExternalStore(
    (listener) => {
      document.addEventListener("visibilitychange", listener);
      return () => document.removeEventListener("visibilitychange", listener);
    },
    () => document.visibilityState === "visible",
  );
}

/** Follows a stream while mounted and seen (browsers keep few connections to one address); `onStart` is told before the first value of each connection. */
export function useStream<Name extends keyof Streams & string>(
  operation: Name,
  input: Streams[Name]["input"],
  handlers: { enabled?: boolean; onStart?: () => void; onValue: (value: Streams[Name]["value"]) => void },
): { state: StreamState; error: ApiError | null } {
  const { enabled = true } = handlers;
  const visible = useVisible();
  const [state, setState] = useState<StreamState>("connecting");
  const [error, setError] = useState<ApiError | null>(null);
  const onStart = useEffectEvent(() => handlers.onStart?.());
  const onValue = useEffectEvent((value: Streams[Name]["value"]) => handlers.onValue(value));
  const key = JSON.stringify(input);

  useEffect(() => {
    if (!enabled || !visible) return;
    const abort = new AbortController();
    const run = async () => {
      while (!abort.signal.aborted) {
        try {
          setState("connecting");
          onStart();
          const values = follow(operation, JSON.parse(key) as Streams[Name]["input"], abort.signal);
          setState("open");
          setError(null);
          for await (const value of values) {
            if (abort.signal.aborted) return;
            onValue(value);
          }
          setState("ended");
          return;
        } catch (thrown) {
          if (abort.signal.aborted) return;
          noticeError(thrown);
          const failure = ApiError.from(thrown);
          setError(failure);
          setState("broken");
          if (failure.code !== "unavailable") return;
          await new Promise((resolve) => setTimeout(resolve, reconnectMs));
        }
      }
    };
    void run();
    return () => abort.abort();
  }, [operation, key, enabled, visible]);

  return { state, error };
}
