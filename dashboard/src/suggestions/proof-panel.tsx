// Proof panel: what the replay measured, as bars of before and after, and ratios of time with their intervals.
import type { BeforeAfter, Proof } from "../api/types.ts";
import { milliseconds, number, percent, plural, ratio, seconds } from "../design/format.ts";
import "./proof.css";

function Bars({ label, values, text }: { label: string; values: BeforeAfter; text: (value: number) => string }) {
  const most = Math.max(values.before, values.after);
  const width = (value: number) => `${most === 0 ? 0 : (value / most) * 100}%`;
  return (
    <div className="bars">
      <dt>{label}</dt>
      <dd>
        <span className="track">
          <span className="fill before" style={{ width: width(values.before) }} />
        </span>
        <span className="value">
          <span className="visually-hidden">before </span>
          {text(values.before)}
        </span>
        <span className="track">
          <span className="fill after" style={{ width: width(values.after) }} />
        </span>
        <span className="value strong">
          <span className="visually-hidden">after </span>
          {text(values.after)}
        </span>
      </dd>
    </div>
  );
}

function IntervalRow({ condition, scale }: { condition: Proof["conditions"][number]; scale: number }) {
  const { value, low, high } = condition.p50Ratio;
  const at = (position: number) => `${Math.min(100, (position / scale) * 100)}%`;
  return (
    <tr>
      <th scope="row">{condition.name}</th>
      <td className="num">
        {milliseconds(condition.p50Ms.before)} → <strong>{milliseconds(condition.p50Ms.after)}</strong>
      </td>
      <td className="plot">
        <span className="axis">
          <span className="one" style={{ left: at(1) }} />
          <span className="interval" style={{ left: at(low), width: `calc(${at(high)} - ${at(low)})` }} />
          <span className={high < 1 ? "dot" : "dot open"} style={{ left: at(value) }} />
        </span>
      </td>
      <td className="num">
        <strong>{ratio(value)}</strong> <span className="faint">{`${ratio(low)}–${ratio(high)}`}</span>
      </td>
      <td className="num faint">{plural(condition.boots, "boot")}</td>
    </tr>
  );
}

export function ProofPanel({ proof }: { proof: Proof }) {
  const scale = Math.max(1.12, ...proof.conditions.map((condition) => condition.p50Ratio.high * 1.06));
  const failed = proof.failureRate.before > 0 || proof.failureRate.after > 0;
  return (
    <section className="panel" aria-labelledby="proof">
      <header>
        <h2 id="proof">Proof by replay</h2>
        <span className="legend">
          <span className="key before">before</span>
          <span className="key after">after</span>
        </span>
      </header>
      <div className="panel-body">
        <p className={`state ${proof.equal ? "good" : "bad"} equal`}>
          {proof.equal
            ? `Equal in ${number(proof.requests)} of ${number(proof.requests)} replayed requests${failed ? "" : ", and none failed"}`
            : `Not equal: ${plural(proof.differences.length, "difference")} in ${plural(proof.requests, "replayed request")}`}
        </p>
        <dl className="measures">
          <Bars label="Round trips a request" values={proof.roundTripsPerRequest} text={number} />
          <Bars label="Spans a request" values={proof.spansPerRequest} text={number} />
          {failed && <Bars label="Failed requests" values={proof.failureRate} text={percent} />}
        </dl>
        {proof.conditions.length > 0 && (
          <div className="scroll-x">
            <table className="intervals">
              <caption>Time, p50 as a share of before, with its 95 % interval over fresh boots of both sides</caption>
              <thead className="visually-hidden">
                <tr>
                  <th scope="col">Condition</th>
                  <th scope="col">Before and after</th>
                  <th scope="col">Drawn</th>
                  <th scope="col">Ratio and interval</th>
                  <th scope="col">Fresh boots of each side</th>
                </tr>
              </thead>
              <tbody>
                {proof.conditions.map((condition) => (
                  <IntervalRow key={condition.name} condition={condition} scale={scale} />
                ))}
              </tbody>
              <tfoot aria-hidden="true">
                <tr>
                  <td />
                  <td />
                  <td className="plot">
                    <span className="axis labels">
                      <span style={{ left: 0 }}>0</span>
                      <span style={{ left: `${(1 / scale) * 100}%` }}>as before</span>
                    </span>
                  </td>
                  <td />
                  <td />
                </tr>
              </tfoot>
            </table>
          </div>
        )}
        <p className="faint small">
          p95 {milliseconds(proof.p95Ms.before)} → {milliseconds(proof.p95Ms.after)}, a guard and not a claim. The
          replay took {seconds(proof.seconds)}.
        </p>
      </div>
    </section>
  );
}

/** What was compared and checked, and what was put aside before comparing. */
export function Checked({ proof }: { proof: Proof }) {
  return (
    <section className="panel" aria-labelledby="checked">
      <header>
        <h2 id="checked">What was checked</h2>
      </header>
      <ul className="panel-body points">
        <li>
          <span className={`state ${proof.equal ? "good" : "bad"}`}>{proof.equal ? "equal" : "not equal"}</span>
          <span>
            outputs and changed rows of {plural(proof.requests, "recorded request")}, both versions side by side on
            copies of the database
          </span>
        </li>
        {proof.checks.map((check) => (
          <li key={check.name}>
            <span className={`state ${check.passed ? "good" : "bad"}`}>{check.passed ? "passed" : "failed"}</span>
            <span>
              the app's own <code>npm run {check.name}</code> <span className="faint">{seconds(check.seconds)}</span>
              {check.output.trim() !== "" && (
                <details>
                  <summary>output</summary>
                  <pre className="output">{check.output}</pre>
                </details>
              )}
            </span>
          </li>
        ))}
        {proof.normalised.length > 0 && (
          <li>
            <details>
              <summary>{plural(proof.normalised.length, "thing")} put aside before comparing</summary>
              <ul className="dashes">
                {proof.normalised.map((line) => (
                  <li key={line}>{line}</li>
                ))}
              </ul>
            </details>
          </li>
        )}
      </ul>
    </section>
  );
}
