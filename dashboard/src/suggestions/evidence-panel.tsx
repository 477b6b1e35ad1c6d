// Evidence panel: what was measured in production, with the statement or steps it is about and traces to look at.
import type { ReactNode } from "react";
import { Link } from "wouter";
import type { Finding } from "../api/types.ts";
import { milliseconds, number, plural } from "../design/format.ts";
import { Prose } from "../design/prose.tsx";

function rowsOf(finding: Finding): [string, ReactNode][] {
  const { evidence } = finding;
  const rows: [string, ReactNode][] = [
    [
      evidence.kind === "n-plus-one" ? "Endpoint" : "Workflow",
      <code key="operation">{evidence.kind === "n-plus-one" ? evidence.operation : evidence.workflow}</code>,
    ],
    ["Seen in", `${number(finding.occurrences)} of ${number(finding.of)} requests or runs`],
    ["Wasted", `${milliseconds(finding.wastedMs)} in all`],
    ["p50 / p95", `${milliseconds(finding.p50Ms)} / ${milliseconds(finding.p95Ms)}`],
  ];
  if (evidence.kind === "n-plus-one") {
    rows.push(["Repeats a request", `median ${number(evidence.repeats.median)}, most ${number(evidence.repeats.max)}`]);
  } else if (evidence.kind === "flaky-step") {
    rows.push(
      ["Failures", `${number(evidence.failures)} of ${plural(evidence.attempts, "attempt")}`],
      [
        "By error",
        Object.entries(evidence.errorTypes)
          .map(([type, count]) => `${type} × ${count}`)
          .join(", "),
      ],
      ["Healed when repeated", `${number(evidence.healed.count)} of ${number(evidence.healed.of)}`],
      [
        "Safe to repeat",
        <ul key="safe" className="plain">
          {evidence.safeBecause.map((line) => (
            <li key={line}>
              <Prose text={line} />
            </li>
          ))}
        </ul>,
      ],
    );
  } else {
    rows.push(
      [
        "Steps, in order",
        <ul key="steps" className="plain">
          {evidence.nodes.map((node, index) => (
            <li key={node}>
              {node} <span className="faint">{milliseconds(evidence.durationsMs[index] ?? 0)}</span>
            </li>
          ))}
        </ul>,
      ],
      ["Saved a run", `${milliseconds(evidence.savedMs)}, median of ${plural(evidence.runs, "run")}`],
    );
  }
  return rows;
}

export function EvidencePanel({ finding }: { finding: Finding }) {
  const { evidence } = finding;
  return (
    <section className="panel" aria-labelledby="evidence">
      <header>
        <h2 id="evidence">Measured in production</h2>
        {finding.traceIds.length > 0 && (
          <span className="traces">
            {finding.traceIds.slice(0, 3).map((id, index) => (
              <Link key={id} href={`/traces/${id}`}>
                trace {index + 1}
              </Link>
            ))}
          </span>
        )}
      </header>
      <div className="panel-body">
        <table className="facts">
          <tbody>
            {rowsOf(finding).map(([name, value]) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                <td>{value}</td>
              </tr>
            ))}
          </tbody>
        </table>
        {evidence.kind === "n-plus-one" && <pre className="statement">{evidence.statement}</pre>}
        {evidence.kind === "n-plus-one" && evidence.frames.length > 0 && (
          <ol className="frames" aria-label="Called from, innermost first">
            {evidence.frames.map((frame) => (
              <li key={`${frame.file}:${frame.line}`}>
                <span className="mono">{`${frame.file}:${frame.line}`}</span>
                {frame.function && <span className="faint"> in {frame.function}</span>}
              </li>
            ))}
          </ol>
        )}
      </div>
    </section>
  );
}
