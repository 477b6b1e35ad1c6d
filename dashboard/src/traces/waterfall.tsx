// Waterfall: the spans of a trace as a tree with bars on a common axis of time; a tree for keyboards and screen readers.
import { useVirtualizer } from "@tanstack/react-virtual";
import { type KeyboardEvent, useId, useMemo, useRef, useState } from "react";
import { milliseconds } from "../design/format.ts";
import { openRows, type Row, type SpanNode, type SpanTree } from "./span-tree.ts";

const rowHeight = 26;
const indent = 14;
const pageRows = 15;
const wantedTicks = 5;
/** A later tick's label would not fit before the end. */
const lastTick = 0.92;

/** Round steps of the axis: 1, 2 or 5 times a power of ten. */
function ticksOf(span: number): number[] {
  const rough = span / wantedTicks;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10) * power;
  return Array.from({ length: Math.floor((span * lastTick) / step) + 1 }, (_, index) => index * step);
}

function Bars({ row, tree }: { row: Row; tree: SpanTree }) {
  const total = tree.end - tree.start;
  const at = (time: number) => `${((time - tree.start) / total) * 100}%`;
  const width = (duration: number) => `max(2px, ${(duration / total) * 100}%)`;
  const { node } = row;
  const bar = ({ span, id, kind }: SpanNode) => (
    <span
      key={id}
      className={`bar-piece ${kind}${span.status === "error" ? " error" : ""}`}
      style={{ left: at(span.start), width: width(span.durationMs) }}
    />
  );
  return <span className="lane">{node.type === "span" ? bar(node) : node.children.map(bar)}</span>;
}

const durationOf = ({ node }: Row) => (node.type === "span" ? node.span.durationMs : node.totalMs);
const hasError = ({ node }: Row) => (node.type === "span" ? node.span.status === "error" : node.errors > 0);

export function Waterfall(props: {
  tree: SpanTree;
  selected: string | null;
  onSelect: (node: SpanNode | null) => void;
}) {
  const { tree, selected, onSelect } = props;
  const [toggled, setToggled] = useState<ReadonlySet<string>>(new Set());
  const [active, setActive] = useState(0);
  const id = useId();
  const box = useRef<HTMLDivElement>(null);
  const rows = useMemo(() => openRows(tree.roots, toggled), [tree, toggled]);
  const ticks = ticksOf(tree.end - tree.start);
  const virtualizer = useVirtualizer({
    count: rows.length,
    getScrollElement: () => box.current,
    estimateSize: () => rowHeight,
    overscan: 20,
  });

  const toggle = (row: Row) => {
    const next = new Set(toggled);
    if (!next.delete(row.node.id)) next.add(row.node.id);
    setToggled(next);
  };
  const go = (index: number) => {
    const next = Math.max(0, Math.min(rows.length - 1, index));
    setActive(next);
    virtualizer.scrollToIndex(next);
    const node = rows[next]?.node;
    if (selected !== null && node?.type === "span") onSelect(node);
  };
  const choose = (index: number) => {
    const row = rows[index];
    if (!row) return;
    setActive(index);
    if (row.node.type === "group") toggle(row);
    else onSelect(selected === row.node.id ? null : row.node);
  };
  /** Does what the key stands for; false where it stands for nothing. */
  const press = (key: string, row: Row): boolean => {
    switch (key) {
      case "ArrowDown":
        go(active + 1);
        return true;
      case "ArrowUp":
        go(active - 1);
        return true;
      case "PageDown":
        go(active + pageRows);
        return true;
      case "PageUp":
        go(active - pageRows);
        return true;
      case "Home":
        go(0);
        return true;
      case "End":
        go(rows.length - 1);
        return true;
      case "ArrowRight":
        if (row.open) go(active + 1);
        else if (row.node.children.length > 0) toggle(row);
        return true;
      case "ArrowLeft":
        if (row.open) toggle(row);
        else if (row.parent >= 0) go(row.parent);
        return true;
      case "Enter":
      case " ":
        choose(active);
        return true;
      case "Escape":
        onSelect(null);
        return true;
      default:
        return false;
    }
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const row = rows[active];
    if (!row || event.altKey || event.ctrlKey || event.metaKey) return;
    if (press(event.key, row)) event.preventDefault();
  };

  return (
    <div className="waterfall">
      <div className="axis-row" aria-hidden="true">
        <span className="axis-title">span</span>
        <span className="lane">
          {ticks.map((tick) => (
            <span key={tick} className="tick" style={{ left: `${(tick / (tree.end - tree.start)) * 100}%` }}>
              {tick === 0 ? "0" : milliseconds(tick)}
            </span>
          ))}
        </span>
        <span className="took">took</span>
      </div>
      <div
        ref={box}
        className="waterfall-rows"
        role="tree"
        aria-label="Spans of the trace"
        tabIndex={0}
        aria-activedescendant={rows[active] ? `${id}-${active}` : undefined}
        onKeyDown={onKeyDown}
      >
        <div style={{ height: virtualizer.getTotalSize(), position: "relative" }} role="presentation">
          {virtualizer.getVirtualItems().map(({ index, start }) => {
            const row = rows[index] as Row;
            const { node } = row;
            return (
              // biome-ignore lint/a11y/useKeyWithClickEvents: the tree handles the keys for all its rows
              // biome-ignore lint/a11y/useFocusableInteractive: the tree has the focus, this is its active descendant
              <div
                key={node.id}
                id={`${id}-${index}`}
                className={`row${index === active ? " active" : ""}${node.id === selected ? " selected" : ""}`}
                style={{ transform: `translateY(${start}px)` }}
                role="treeitem"
                aria-level={row.level}
                aria-posinset={row.position + 1}
                aria-setsize={row.siblings}
                aria-expanded={node.children.length > 0 ? row.open : undefined}
                aria-selected={node.id === selected}
                onClick={() => choose(index)}
              >
                <span className="name" style={{ paddingLeft: (row.level - 1) * indent }}>
                  {node.children.length > 0 ? (
                    // biome-ignore lint/a11y/noStaticElementInteractions: for the mouse; the arrow keys do the same
                    // biome-ignore lint/a11y/useKeyWithClickEvents: for the mouse; the arrow keys do the same
                    <span
                      className="twist"
                      onClick={(event) => {
                        event.stopPropagation();
                        setActive(index);
                        toggle(row);
                      }}
                    >
                      {row.open ? "▾" : "▸"}
                    </span>
                  ) : (
                    <span className="twist" />
                  )}
                  <span className={`dot ${node.kind}`} />
                  <span className={hasError(row) ? "label error" : "label"}>{node.label}</span>
                  {node.place && <span className="place">{node.place}</span>}
                  {hasError(row) && <span className="visually-hidden">failed</span>}
                </span>
                <Bars row={row} tree={tree} />
                <span className="took">{milliseconds(durationOf(row))}</span>
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}
