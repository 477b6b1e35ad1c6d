// Waterfall: the spans of a trace as a tree with bars on a common axis of time; a tree for keyboards and screen readers.
import { useVirtualizer } from "@tanstack/react-virtual";
import { type KeyboardEvent, type PointerEvent, useId, useMemo, useRef, useState } from "react";
import { milliseconds } from "../design/format.ts";
import { pieces } from "./pieces.ts";
import { collapsed, openRows, type Row, type SpanNode, type SpanTree } from "./span-tree.ts";

const rowHeight = 26;
const indent = 14;
const pageRows = 15;
const wantedTicks = 5;
/** A nanosecond is the finest that spans tell. */
const leastViewMs = 0.000_01;
/** A later tick's label would not fit before the end. */
const lastTick = 0.92;

/** The stretch of the trace that is shown. Milliseconds since the epoch. */
export interface View {
  start: number;
  end: number;
}

/** Round steps of the axis, 1, 2 or 5 times a power of ten, in milliseconds since the trace began. */
function ticksOf(from: number, to: number): number[] {
  const rough = (to - from) / wantedTicks;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10) * power;
  const first = Math.ceil(from / step);
  const last = Math.floor((from + (to - from) * lastTick) / step);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => (first + index) * step);
}

function Bars({ row, view, tree, critical }: { row: Row; view: View; tree: SpanTree; critical: boolean }) {
  const { node } = row;
  const spans = node.type === "span" ? [node] : node.children;
  const parts = pieces(
    spans.map(({ span, kind }) => ({
      ...tree.placed(span),
      className: span.status === "error" ? `${kind} error` : kind,
    })),
    view,
  );
  const path = critical
    ? pieces(
        spans.flatMap(({ span }) => tree.critical(span)).map((one) => ({ ...one, className: "" })),
        view,
      )
    : [];
  return (
    <span className="lane">
      {parts.map(({ left, width, className }) => (
        <span
          key={`${left}/${className}`}
          className={`bar-piece ${className}`}
          style={{ left: `${left}%`, width: `max(2px, ${width}%)` }}
        />
      ))}
      {path.map(({ left, width }) => (
        <span key={left} className="critical-piece" style={{ left: `${left}%`, width: `max(2px, ${width}%)` }} />
      ))}
    </span>
  );
}

const durationOf = ({ node }: Row) => (node.type === "span" ? node.span.durationMs : node.totalMs);
const selfOf = ({ node }: Row, tree: SpanTree) =>
  node.type === "span" ? tree.selfMs(node.span) : node.children.reduce((sum, one) => sum + tree.selfMs(one.span), 0);
const onPath = ({ node }: Row, tree: SpanTree) =>
  (node.type === "span" ? [node] : node.children).some((one) => tree.critical(one.span).length > 0);
const hasError = ({ node }: Row) => (node.type === "span" ? node.span.status === "error" : node.errors > 0);

export function Waterfall(props: {
  tree: SpanTree;
  selected: string | null;
  onSelect: (node: SpanNode | null) => void;
  /** Shows what the duration hangs on, and pales the rest. */
  critical: boolean;
}) {
  const { tree, selected, onSelect, critical } = props;
  const [toggled, setToggled] = useState<ReadonlySet<string>>(new Set());
  const [active, setActive] = useState(0);
  const [zoom, setZoom] = useState<View | null>(null);
  const [drawn, setDrawn] = useState<{ from: number; to: number } | null>(null);
  const axis = useRef<HTMLSpanElement>(null);
  const view = zoom ?? tree;
  const id = useId();
  const box = useRef<HTMLDivElement>(null);
  const rows = useMemo(() => openRows(tree.roots, toggled), [tree, toggled]);
  const ticks = ticksOf(view.start - tree.start, view.end - tree.start);
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
  const show = (start: number, end: number) => {
    const [from, to] = [Math.max(tree.start, start), Math.min(tree.end, end)];
    if (to - from >= leastViewMs) setZoom(from <= tree.start && to >= tree.end ? null : { start: from, end: to });
  };
  /** Zooms by a factor around the span in hand. */
  const zoomBy = (factor: number) => {
    const node = rows[active]?.node;
    const span = node?.type === "span" ? tree.placed(node.span) : (node ?? view);
    const middle = Math.min(view.end, Math.max(view.start, (span.start + span.end) / 2));
    const half = ((view.end - view.start) * factor) / 2;
    const start = Math.max(tree.start, Math.min(middle - half, tree.end - 2 * half));
    show(start, start + 2 * half);
  };
  const shareAt = (event: PointerEvent) => {
    const { left = 0, width = 1 } = axis.current?.getBoundingClientRect() ?? {};
    return Math.max(0, Math.min(1, (event.clientX - left) / width));
  };
  const endDrawing = () => {
    if (drawn && Math.abs(drawn.to - drawn.from) > 0.01) {
      const at = (share: number) => view.start + share * (view.end - view.start);
      show(at(Math.min(drawn.from, drawn.to)), at(Math.max(drawn.from, drawn.to)));
    }
    setDrawn(null);
  };
  const go = (index: number) => {
    const next = Math.max(0, Math.min(rows.length - 1, index));
    setActive(next);
    virtualizer.scrollToIndex(next);
    const node = rows[next]?.node;
    if (selected !== null && node?.type === "span") onSelect(node);
  };
  const goToError = () => {
    const after = rows.findIndex((row, index) => index > active && hasError(row));
    const next = after >= 0 ? after : rows.findIndex(hasError);
    if (next >= 0) go(next);
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
      case "+":
      case "=":
        zoomBy(0.5);
        return true;
      case "-":
        zoomBy(2);
        return true;
      case "0":
        setZoom(null);
        return true;
      case "e":
        goToError();
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
      <div className="waterfall-tools">
        <button type="button" className="button small" onClick={() => setToggled(new Set())}>
          Expand
        </button>
        <button type="button" className="button small" onClick={() => setToggled(collapsed(tree.roots))}>
          Collapse
        </button>
        <button type="button" className="button small" disabled={!rows.some(hasError)} onClick={goToError}>
          Next error
        </button>
        <span className="spread" />
        <button type="button" className="button small square" aria-label="Zoom in" onClick={() => zoomBy(0.5)}>
          +
        </button>
        <button
          type="button"
          className="button small square"
          aria-label="Zoom out"
          disabled={!zoom}
          onClick={() => zoomBy(2)}
        >
          −
        </button>
        <button type="button" className="button small" disabled={!zoom} onClick={() => setZoom(null)}>
          Whole trace
        </button>
      </div>
      <div className="axis-row" aria-hidden="true">
        <span className="axis-title">span</span>
        {/* biome-ignore lint/a11y/noStaticElementInteractions: for the mouse; the buttons above and the keys do the same */}
        <span
          ref={axis}
          className="lane axis"
          title="draw over a stretch to zoom into it"
          onPointerDown={(event) => {
            event.currentTarget.setPointerCapture(event.pointerId);
            setDrawn({ from: shareAt(event), to: shareAt(event) });
          }}
          onPointerMove={(event) => drawn && setDrawn({ ...drawn, to: shareAt(event) })}
          onPointerUp={endDrawing}
          onPointerCancel={() => setDrawn(null)}
          onDoubleClick={() => setZoom(null)}
        >
          {ticks.map((tick) => (
            <span
              key={tick}
              className="tick"
              style={{ left: `${((tick + tree.start - view.start) / (view.end - view.start)) * 100}%` }}
            >
              {tick === 0 ? "0" : milliseconds(tick)}
            </span>
          ))}
          {drawn && (
            <span
              className="drawn"
              style={{
                left: `${Math.min(drawn.from, drawn.to) * 100}%`,
                width: `${Math.abs(drawn.to - drawn.from) * 100}%`,
              }}
            />
          )}
        </span>
        <span className="took">self</span>
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
                className={`row${index === active ? " active" : ""}${node.id === selected ? " selected" : ""}${critical && !onPath(row, tree) ? " pale" : ""}`}
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
                <Bars row={row} view={view} tree={tree} critical={critical} />
                <span className="took self">
                  <span className="visually-hidden">self </span>
                  {milliseconds(selfOf(row, tree))}
                </span>
                <span className="took">{milliseconds(durationOf(row))}</span>
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}
