// Trace logs: what was logged while a trace ran, or by the span that is chosen.
import { Link } from "wouter";
import { useRead } from "../api/hooks.ts";
import type { LogRecord } from "../api/types.ts";
import { date, milliseconds, plural } from "../design/format.ts";
import { ErrorNotice } from "../design/notice.tsx";
import { readLogText } from "../logs/log-text.ts";
import "../logs/severity.css";

const most = 500;

export function TraceLogs(props: {
  where: { project: string; environment: string };
  traceId: string;
  start: number;
  end: number;
  /** Only what this span logged. */
  spanId: string | null;
}) {
  const { where, traceId, start, end, spanId } = props;
  const { data, error, refetch } = useRead("logs.search", {
    ...where,
    trace: traceId,
    // a clock may be off, and what was logged is stored with the time of its writing
    since: new Date(Math.floor(start - 60_000)).toISOString(),
    until: new Date(Math.ceil(end + 60_000)).toISOString(),
    limit: most,
  });
  const records = (data?.records ?? []).filter((record) => spanId === null || record.spanId === spanId);
  const all = `/projects/${where.project}/logs?${new URLSearchParams({ environment: where.environment, trace: traceId, since: new Date(Math.floor(start - 60_000)).toISOString() })}`;
  return (
    <section className="panel trace-logs" aria-labelledby="trace-logs">
      <header>
        <h2 id="trace-logs">{spanId === null ? "Logs of the trace" : "Logs of the span"}</h2>
        <span className="aside">
          {data && `${plural(records.length, "line")} · `}
          <Link href={all}>in the log explorer</Link>
        </span>
      </header>
      {error ? (
        <ErrorNotice error={error} retry={() => void refetch()} />
      ) : data && records.length === 0 ? (
        <p className="panel-body soft small">
          {spanId === null
            ? "Nothing was logged with this trace's id. Loggers that OpenTelemetry knows write it by themselves."
            : "This span logged nothing."}
        </p>
      ) : (
        <Lines records={records} start={start} />
      )}
    </section>
  );
}

function Lines({ records, start }: { records: LogRecord[]; start: number }) {
  return (
    <div className="scroll-x">
      <table className="rows">
        <thead className="visually-hidden">
          <tr>
            <th scope="col">After</th>
            <th scope="col">Severity</th>
            <th scope="col">Service</th>
            <th scope="col">Line</th>
          </tr>
        </thead>
        <tbody>
          {records.map((record, index) => {
            const { message, rest } = readLogText(record.text);
            return (
              // biome-ignore lint/suspicious/noArrayIndexKey: lines may be equal, and their order does not change
              <tr key={`${record.nanoseconds}/${index}`}>
                <td className="nowrap faint" title={date(record.time)}>
                  {milliseconds(Math.max(0, Date.parse(record.time) - start))}
                </td>
                <td className={`severity ${record.severity}`}>{record.severity}</td>
                <td className="nowrap faint">{record.service}</td>
                <td className="wide">
                  <pre>
                    {message} <span className="faint">{rest}</span>
                  </pre>
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
