// Build log: every line of a build as it is written.
import { useEffect, useRef } from "react";
import { useLines } from "../api/use-lines.ts";
import { clock } from "../design/format.ts";
import { ErrorNotice } from "../design/notice.tsx";

/** Closer to the end than this, the log keeps showing its newest line. */
const nearEnd = 40;
const mostLines = 10_000;

export function BuildLog({ deployment }: { deployment: string }) {
  const { lines, state, error } = useLines("deployments.log", { deployment }, mostLines);
  const box = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);

  // biome-ignore lint/correctness/useExhaustiveDependencies: it is a new line that moves the view
  useEffect(() => {
    if (atEnd.current && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines]);

  return (
    <section className="panel" aria-labelledby="build-log">
      <header>
        <h2 id="build-log">Build log</h2>
        <span className={`state ${state === "open" ? "accent busy" : ""}`}>
          {state === "ended" ? "finished" : state === "open" ? "live" : "connecting"}
        </span>
      </header>
      {error && state === "broken" && <ErrorNotice error={error} />}
      <div
        ref={box}
        className="log-box"
        role="log"
        aria-labelledby="build-log"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reachable by keyboard
        tabIndex={0}
        onScroll={(event) => {
          const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
          atEnd.current = scrollHeight - scrollTop - clientHeight < nearEnd;
        }}
      >
        {lines.length === 0 && state !== "broken" && <p className="faint">Nothing was written yet.</p>}
        {lines.map((line) => (
          <p key={line.key} className={`log-line ${line.stream}`}>
            <time dateTime={line.time}>{clock(line.time)}</time>
            <span>{line.text}</span>
          </p>
        ))}
      </div>
    </section>
  );
}
