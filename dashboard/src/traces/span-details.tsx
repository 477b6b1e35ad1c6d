// Span details: what a span carries; statement, frames, attributes and events.

import { Link } from "wouter";
import type { Span } from "../api/types.ts";
import { milliseconds } from "../design/format.ts";
import { kindNames, kindOf, placeOf, statementOf } from "./span-kind.ts";
import type { SpanTree } from "./span-tree.ts";

const shownElsewhere = new Set(["db.query.text", "db.statement", "tsdev.code.frames"]);

/** `src/orders.ts:29:newestOrders`, as the SDK writes a frame. */
const frame = /^(.*:\d+):(.*)$/;

function framesOf(span: Span): { place: string; name: string | null }[] {
  try {
    const frames: unknown = JSON.parse(span.attributes["tsdev.code.frames"] ?? "[]");
    if (!Array.isArray(frames)) return [];
    return frames.map((one) => {
      const [, place = String(one), name = ""] = frame.exec(String(one)) ?? [];
      return { place, name: name === "" || name.startsWith("<") ? null : name };
    });
  } catch {
    return [];
  }
}

function Attributes({ attributes }: { attributes: Record<string, string> }) {
  const entries = Object.entries(attributes)
    .filter(([key]) => !shownElsewhere.has(key))
    .sort(([a], [b]) => a.localeCompare(b));
  if (entries.length === 0) return null;
  return (
    <dl className="attributes">
      {entries.map(([key, value]) => (
        <div key={key}>
          <dt>{key}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

export function SpanDetails(props: {
  span: Span;
  tree: SpanTree;
  where: { project: string; environment: string };
  onClose: () => void;
}) {
  const { span, tree, where, onClose } = props;
  const { start } = tree;
  const placed = tree.placed(span);
  const onPath = tree.critical(span).reduce((sum, one) => sum + one.end - one.start, 0);
  const statement = statementOf(span);
  const frames = framesOf(span);
  const place = placeOf(span);
  return (
    <aside className="panel span-details" aria-label="Details of the span">
      <header>
        <h2>{span.name}</h2>
        <button type="button" className="button small" aria-label="Close the details" onClick={onClose}>
          ✕
        </button>
      </header>
      <div className="panel-body">
        <p className="soft small">
          {kindNames[kindOf(span)]} in {span.service}, {milliseconds(span.durationMs)}, from{" "}
          {milliseconds(placed.start - start)} on
        </p>
        <p className="soft small">
          {milliseconds(tree.selfMs(span))} by itself
          {onPath > 0 && `, ${milliseconds(onPath)} of it on the critical path`}
          {placed.start !== span.start &&
            `; its clock was off and it is moved by ${milliseconds(Math.abs(placed.start - span.start))}`}
        </p>
        {span.status === "error" && (
          <p className="state bad small">{span.statusMessage ? `failed: ${span.statusMessage}` : "failed"}</p>
        )}
        {statement && <pre className="statement">{statement}</pre>}
        {frames.length > 0 ? (
          <ol className="frames" aria-label="Called from, innermost first">
            {frames.map(({ place, name }) => (
              <li key={place}>
                <span className="mono">{place}</span>
                {name && <span className="faint"> in {name}</span>}
              </li>
            ))}
          </ol>
        ) : (
          place && <p className="mono small">{place}</p>
        )}
        <Attributes attributes={span.attributes} />
        {span.events.length > 0 && <h3>Events</h3>}
        {span.events.map((event) => (
          <section key={`${event.time}/${event.name}`} className="event">
            <p>
              <strong>{event.name}</strong>{" "}
              <span className="faint">at {milliseconds(event.time + placed.start - span.start - start)}</span>
            </p>
            <Attributes attributes={event.attributes} />
          </section>
        ))}
        <p className="small">
          <Link
            href={`/projects/${where.project}/operations?${new URLSearchParams({ environment: where.environment, service: span.service, since: "1d" })}`}
          >
            Operations of {span.service}
          </Link>
        </p>
        <p className="faint mono small">{span.spanId}</p>
      </div>
    </aside>
  );
}
