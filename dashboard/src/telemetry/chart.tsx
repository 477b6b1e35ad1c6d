// Chart: series over time on uPlot's canvas, with a legend that reads the values, a table for those who cannot see it.
import { useEffect, useEffectEvent, useId, useMemo, useRef, useState, useSyncExternalStore } from "react";
// before uPlot, which reads the language when it is loaded
import "./language.ts";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { clock, date } from "../design/format.ts";
import "./chart.css";

export interface ChartSeries {
  name: string;
  /** One for each time; null where there is none. */
  values: (number | null)[];
  /** A custom property of tokens.css. */
  colour: string;
  draw?: "line" | "bars" | "points";
}

export interface ChartProps {
  /** What is shown, for who cannot see it. */
  label: string;
  /** Milliseconds since the epoch, in order. */
  times: number[];
  series: ChartSeries[];
  format: (value: number) => string;
  /** The first and last time of the axis, in milliseconds since the epoch. */
  limits?: { from: number; to: number };
  height?: number;
  /** Each series stands on those before it. */
  stacked?: boolean;
  /** Powers of ten on the axis of values. */
  logarithmic?: boolean;
  /** A stretch was drawn with the mouse. Milliseconds since the epoch. */
  onStretch?: (from: number, to: number) => void;
  /** A point was clicked. */
  onPoint?: (series: number, index: number) => void;
}

const darkQuery = matchMedia("(prefers-color-scheme: dark)");
function useDark(): boolean {
  return useSyncExternalStore(
    (listener) => {
      darkQuery.addEventListener("change", listener);
      return () => darkQuery.removeEventListener("change", listener);
    },
    () => darkQuery.matches,
  );
}

/** The colour that a token stands for in the theme of now; a canvas knows no custom properties. */
function colourOf(token: string, element: HTMLElement): string {
  const probe = document.createElement("i");
  probe.style.color = `var(${token})`;
  element.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

const translucent = (colour: string, share: number) => colour.replace(/^rgb\((.*)\)$/, `rgba($1, ${share})`);

/** Each series with those below it added. */
function stack(series: ChartSeries[]): (number | null)[][] {
  const sums: number[] = [];
  return series.map(({ values }) =>
    values.map((value, index) => {
      sums[index] = (sums[index] ?? 0) + (value ?? 0);
      return value === null ? null : (sums[index] ?? 0);
    }),
  );
}

/** How near, in pixels, a click must be to a point. */
const reach = 12;
const mostTableRows = 120;

export function Chart(props: ChartProps) {
  const { times, series, height = 190, stacked = false, logarithmic = false, limits } = props;
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [at, setAt] = useState<number | null>(null);
  const dark = useDark();
  const heading = useId();
  const format = useEffectEvent(props.format);
  const onStretch = useEffectEvent((from: number, to: number) => props.onStretch?.(from, to));
  const onPoint = useEffectEvent((one: number, index: number) => props.onPoint?.(one, index));
  const shape = JSON.stringify(series.map(({ name, colour, draw }) => [name, colour, draw]));
  const zooms = props.onStretch !== undefined;
  const data = useMemo<uPlot.AlignedData>(() => {
    const columns = stacked ? stack(series).reverse() : series.map(({ values }) => values);
    return [times.map((time) => time / 1000), ...columns] as uPlot.AlignedData;
  }, [times, series, stacked]);

  const make = useEffectEvent((element: HTMLDivElement) => {
    const ink = colourOf("--ink-faint", element);
    const line = colourOf("--line", element);
    const font = `11px ${getComputedStyle(element).fontFamily}`;
    const bars = uPlot.paths.bars?.({ size: [0.86, 40], align: 1 });
    const drawn = stacked ? series.toReversed() : series;
    return new uPlot(
      {
        width: Math.max(120, element.clientWidth),
        height,
        legend: { show: false },
        cursor: {
          drag: { x: zooms, y: false, setScale: false },
          points: { size: 7 },
          y: false,
        },
        scales: {
          x: { time: true, range: (self) => rangeOf(self) },
          y: logarithmic
            ? { distr: 3, range: (_, low, high) => [low > 0 ? low / 1.5 : 0.1, high > 0 ? high * 1.5 : 1] }
            : { range: (_, __, high) => [0, high > 0 ? high * 1.08 : 1] },
        },
        axes: [
          { stroke: ink, font, grid: { show: false }, ticks: { stroke: line, size: 4 }, size: 26, values: clockTicks },
          {
            stroke: ink,
            font,
            // as wide as its longest label: some six and a half pixels a letter
            size: (_, labels) => Math.max(40, 16 + 6.5 * Math.max(0, ...(labels ?? []).map((label) => label.length))),
            grid: { stroke: line, width: 1 },
            ticks: { show: false },
            values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : format(tick))),
          },
        ],
        series: [
          {},
          ...drawn.map((one): uPlot.Series => {
            const stroke = colourOf(one.colour, element);
            if (one.draw === "points") {
              return {
                label: one.name,
                stroke,
                paths: () => null,
                points: { show: true, size: 6, fill: translucent(stroke, 0.55), stroke, width: 1 },
              };
            }
            if (one.draw === "bars") {
              return {
                label: one.name,
                stroke,
                fill: stroke,
                width: 0,
                points: { show: false },
                ...(bars ? { paths: bars } : {}),
              };
            }
            return {
              label: one.name,
              stroke,
              width: 1.6,
              points: { show: times.length < 3, size: 5 },
              spanGaps: false,
            };
          }),
        ],
        hooks: {
          setCursor: [(self) => setAt(self.cursor.idx ?? null)],
          setSelect: [
            (self) => {
              const { left, width } = self.select;
              if (width < 6) return;
              onStretch(self.posToVal(left, "x") * 1000, self.posToVal(left + width, "x") * 1000);
              self.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
            },
          ],
        },
      },
      data,
      element,
    );
  });
  const rangeOf = useEffectEvent((self: uPlot): [number, number] => {
    if (limits) return [limits.from / 1000, limits.to / 1000];
    const first = self.data[0][0] ?? Date.now() / 1000;
    const last = self.data[0].at(-1) ?? first;
    // so that no point stands upon the edge, nor one alone without a width
    const room = Math.max((last - first) * 0.02, 1);
    return [first - room, last + room];
  });

  // biome-ignore lint/correctness/useExhaustiveDependencies: these shape the plot; data comes by the effect below
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const made = make(element);
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: Math.max(120, element.clientWidth), height }));
    observer.observe(element);
    const click = (event: MouseEvent) => {
      const near = nearest(made, event.offsetX, event.offsetY);
      if (near) onPoint(near[0], near[1]);
    };
    made.over.addEventListener("click", click);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape, height, stacked, logarithmic, zooms, dark]);

  useEffect(() => {
    plot.current?.setData(data);
  }, [data]);
  // the axis follows its limits
  const limitsKey = limits && `${limits.from}/${limits.to}`;
  useEffect(() => {
    if (limitsKey !== undefined) plot.current?.setData(data);
  }, [limitsKey, data]);

  const shown = at !== null && at < times.length ? at : null;
  return (
    <figure className={props.onPoint ? "chart points" : "chart"}>
      <figcaption className="legend">
        <span id={heading} className="visually-hidden">
          {props.label}
        </span>
        {series.map((one) => (
          <span key={one.name}>
            <i style={{ background: `var(${one.colour})` }} aria-hidden="true" />
            {one.name}
            {shown !== null && one.draw !== "points" && (
              <strong>{one.values[shown] === null ? "–" : props.format(one.values[shown] ?? 0)}</strong>
            )}
          </span>
        ))}
        {shown !== null && <span className="at">{date(times[shown] ?? 0)}</span>}
      </figcaption>
      <div ref={box} className="plot" role="img" aria-labelledby={heading} style={{ height }} />
      <details className="chart-table">
        <summary>As a table</summary>
        <div className="scroll-x">
          <table className="rows">
            <thead>
              <tr>
                <th scope="col">Time</th>
                {series.map(({ name }) => (
                  <th key={name} scope="col" className="num">
                    {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {times.slice(-mostTableRows).map((time, row) => {
                const index = Math.max(0, times.length - mostTableRows) + row;
                return (
                  <tr key={index}>
                    <td className="nowrap">{date(time)}</td>
                    {series.map(({ name, values }) => (
                      <td key={name} className="num">
                        {values[index] === null || values[index] === undefined ? "–" : props.format(values[index])}
                      </td>
                    ))}
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      </details>
    </figure>
  );
}

function clockTicks(self: uPlot, ticks: number[]): string[] {
  const [first = 0, last = 0] = [self.scales.x?.min ?? 0, self.scales.x?.max ?? 0];
  const days = last - first > 2 * 86_400;
  const small = last - first < 300;
  return ticks.map((tick) => {
    if (days) return new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" }).format(tick * 1000);
    return small ? clock(tick * 1000) : clock(tick * 1000).slice(0, 5);
  });
}

function nearest(plot: uPlot, left: number, top: number): [series: number, index: number] | null {
  let found: [number, number] | null = null;
  let least = reach * reach;
  const xs = plot.data[0];
  for (let one = 1; one < plot.data.length; one++) {
    const values = plot.data[one];
    for (let index = 0; index < xs.length; index++) {
      const value = values?.[index];
      if (value === null || value === undefined) continue;
      const x = plot.valToPos(xs[index] ?? 0, "x") - left;
      const y = plot.valToPos(value, "y") - top;
      if (x * x + y * y < least) {
        least = x * x + y * y;
        found = [one - 1, index];
      }
    }
  }
  return found;
}
