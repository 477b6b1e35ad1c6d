// Log list: records one below the other, only those in sight in the page; each opens to its fields.
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useRef } from "react";
import { Link } from "wouter";
import type { LogRecord } from "../api/types.ts";
import type { Numbered } from "../api/use-lines.ts";
import { clock, date } from "../design/format.ts";
import { LogDetails, type LogDetailsProps } from "./log-details.tsx";
import { readLogText } from "./log-text.ts";

const nearEnd = 60;
const lineHeight = 22;

type Line = Numbered<LogRecord>;

function LogLine({ line, open, onToggle }: { line: Line; open: boolean; onToggle: () => void }) {
  const { message, rest } = readLogText(line.text);
  return (
    <div className="logs-line">
      <button type="button" className="opener" aria-expanded={open} title={date(line.time)} onClick={onToggle}>
        <span aria-hidden="true">{open ? "▾" : "▸"}</span> <time dateTime={line.time}>{clock(line.time)}</time>
        <span className="visually-hidden">: fields</span>
      </button>
      <span className={`severity ${line.severity}`}>{line.severity}</span>
      <span className="service">{line.service}</span>
      <span className="text">
        {message}
        {rest && <span className="rest"> {rest}</span>}
        {line.traceId && (
          <>
            {" "}
            <Link href={`/traces/${line.traceId}${line.spanId ? `?span=${line.spanId}` : ""}`}>trace</Link>
          </>
        )}
      </span>
    </div>
  );
}

export function LogList(props: {
  lines: Line[];
  /** Keeps the newest in sight. */
  following: boolean;
  onFollowing: (following: boolean) => void;
  opened: ReadonlySet<number>;
  onToggle: (key: number) => void;
  where: LogDetailsProps["where"];
  onFilter: LogDetailsProps["onFilter"];
}) {
  const { lines, following, onFollowing, opened } = props;
  const box = useRef<HTMLDivElement>(null);
  const virtualizer = useVirtualizer({
    count: lines.length,
    getScrollElement: () => box.current,
    estimateSize: () => lineHeight,
    getItemKey: (index) => lines[index]?.key ?? index,
    overscan: 30,
  });
  useEffect(() => {
    if (following && lines.length > 0) virtualizer.scrollToIndex(lines.length - 1, { align: "end" });
  }, [following, lines, virtualizer]);
  return (
    <div
      ref={box}
      className="logs-box"
      role="log"
      aria-labelledby="log-lines"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reachable by keyboard
      tabIndex={0}
      onScroll={(event) => {
        const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
        const atEnd = scrollHeight - scrollTop - clientHeight < nearEnd;
        if (atEnd !== following && (atEnd || scrollTop > 0)) onFollowing(atEnd);
      }}
    >
      <div style={{ height: virtualizer.getTotalSize(), position: "relative" }}>
        {virtualizer.getVirtualItems().map((item) => {
          const line = lines[item.index];
          if (!line) return null;
          const open = opened.has(line.key);
          return (
            <div
              key={item.key}
              ref={virtualizer.measureElement}
              data-index={item.index}
              className={open ? "logs-item open" : "logs-item"}
              style={{ transform: `translateY(${item.start}px)` }}
            >
              <LogLine line={line} open={open} onToggle={() => props.onToggle(line.key)} />
              {open && <LogDetails record={line} where={props.where} onFilter={props.onFilter} />}
            </div>
          );
        })}
      </div>
    </div>
  );
}
