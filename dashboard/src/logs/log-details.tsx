// Log details: the fields of one record, each of which narrows the search with a click, and what was logged around it.
import { useState } from "react";
import { Link } from "wouter";
import { useRead } from "../api/hooks.ts";
import type { LogRecord } from "../api/types.ts";
import { clock, date } from "../design/format.ts";
import { ErrorNotice } from "../design/notice.tsx";
import { jsonFields, readLogText } from "./log-text.ts";

const aroundLines = 10;

export interface LogDetailsProps {
  record: LogRecord;
  where: { project: string; environment: string };
  /** Narrows the search to records like this one. */
  onFilter: (changes: { service: string } | { trace: string } | { attribute: string } | { search: string }) => void;
}

function Field({ name, value, onFilter }: { name: string; value: string; onFilter?: (() => void) | undefined }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        {onFilter ? (
          <button type="button" className="value" title={`only records with ${name} = ${value}`} onClick={onFilter}>
            {value}
          </button>
        ) : (
          value
        )}
      </dd>
    </div>
  );
}

function Around({ record, where }: Pick<LogDetailsProps, "record" | "where">) {
  const { data, error } = useRead("logs.context", {
    ...where,
    at: record.nanoseconds,
    service: record.service,
    before: aroundLines,
    after: aroundLines,
  });
  if (error) return <ErrorNotice error={error} />;
  if (!data) return <p className="faint">One moment…</p>;
  return (
    <ol className="around" aria-label="Lines before and after">
      {data.records.map((line, index) => (
        <li
          // biome-ignore lint/suspicious/noArrayIndexKey: lines may be equal, and their order never changes
          key={index}
          aria-current={(line.nanoseconds === record.nanoseconds && line.text === record.text) || undefined}
        >
          <time dateTime={line.time} title={date(line.time)}>
            {clock(line.time)}
          </time>
          <span className={`severity ${line.severity}`}>{line.severity}</span>
          <span className="text">{readLogText(line.text).message}</span>
        </li>
      ))}
    </ol>
  );
}

export function LogDetails({ record, where, onFilter }: LogDetailsProps) {
  const [around, setAround] = useState(false);
  const fields = jsonFields(record.text);
  const attributes = Object.entries(record.attributes).sort(([a], [b]) => a.localeCompare(b));
  return (
    <div className="log-details">
      <dl>
        <Field name="time" value={record.time} />
        <Field name="service" value={record.service} onFilter={() => onFilter({ service: record.service })} />
        {record.traceId && (
          <div>
            <dt>trace</dt>
            <dd>
              <Link href={`/traces/${record.traceId}${record.spanId ? `?span=${record.spanId}` : ""}`}>
                {record.traceId}
              </Link>{" "}
              <button type="button" className="button small" onClick={() => onFilter({ trace: record.traceId ?? "" })}>
                Only its lines
              </button>
            </dd>
          </div>
        )}
        {record.deployment && (
          <div>
            <dt>deployment</dt>
            <dd>
              <Link href={`/deployments/${record.deployment}`}>{record.deployment}</Link>
            </dd>
          </div>
        )}
        {record.instance && <Field name="instance" value={record.instance} />}
        {record.stream && <Field name="stream" value={record.stream} />}
        {attributes.map(([name, value]) => (
          <Field key={name} name={name} value={value} onFilter={() => onFilter({ attribute: `${name}=${value}` })} />
        ))}
        {fields.map(([name, value]) => (
          <Field key={`json ${name}`} name={name} value={value} onFilter={() => onFilter({ search: value })} />
        ))}
      </dl>
      <pre className="statement">{record.text}</pre>
      {around ? (
        <Around record={record} where={where} />
      ) : (
        <button type="button" className="button small" onClick={() => setAround(true)}>
          Lines before and after
        </button>
      )}
    </div>
  );
}
