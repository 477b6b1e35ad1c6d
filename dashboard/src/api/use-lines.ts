// Lines of a stream, newest last: those that come together are shown together, and only so many are kept.
import { useEffect, useRef, useState } from "react";
import { useStream } from "./hooks.ts";
import type { Streams } from "./types.ts";

const batchMs = 60;
/** So long the lines from before stay when a stream starts again and says nothing. */
const emptyMs = 500;

/** A line with its number since the page was opened, which stays the same while older lines are dropped. */
export type Numbered<T> = T & { key: number };

export function useLines<Name extends "deployments.log" | "logs.follow">(
  operation: Name,
  input: Streams[Name]["input"],
  most: number,
  enabled = true,
) {
  type Line = Numbered<Streams[Name]["value"]>;
  const [lines, setLines] = useState<Line[]>([]);
  const waiting = useRef<Line[]>([]);
  const restarted = useRef(true);
  const timer = useRef<ReturnType<typeof setTimeout> | null>(null);
  const next = useRef(0);

  const showIn = (ms: number) => {
    if (timer.current) clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      timer.current = null;
      const added = waiting.current;
      const fromStart = restarted.current;
      waiting.current = [];
      restarted.current = false;
      setLines((known) => (fromStart ? added : [...known, ...added]).slice(-most));
    }, ms);
  };
  const stream = useStream(operation, input, {
    enabled,
    onStart: () => {
      waiting.current = [];
      restarted.current = true;
      showIn(emptyMs);
    },
    onValue: (value) => {
      waiting.current.push({ ...(value as object), key: next.current++ } as Line);
      if (!timer.current || (restarted.current && waiting.current.length === 1)) showIn(batchMs);
    },
  });
  useEffect(
    () => () => {
      if (timer.current) clearTimeout(timer.current);
      timer.current = null;
    },
    [],
  );
  return { lines, ...stream };
}
