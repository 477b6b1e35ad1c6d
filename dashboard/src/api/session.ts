// Session: whether the API still knows this browser; the whole dashboard changes to the sign-in page when it does not.
import { useSyncExternalStore } from "react";
import { ApiError } from "./client.ts";

let signedOut = false;
const listeners = new Set<() => void>();

function set(value: boolean): void {
  if (signedOut === value) return;
  signedOut = value;
  for (const listener of listeners) listener();
}

/** Called with every error of the API. */
export function noticeError(error: unknown): void {
  if (ApiError.from(error).code === "unauthenticated") set(true);
}

export const signedIn = () => set(false);

export function useSignedOut(): boolean {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => signedOut,
  );
}
