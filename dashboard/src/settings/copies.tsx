// Copies: the OTLP endpoints that get a copy of what arrives in an environment; one is added, and taken away after a question.
import { useState } from "react";
import { useWrite } from "../api/hooks.ts";
import type { TelemetrySettings } from "../api/types.ts";
import { Dialog } from "../design/dialog.tsx";
import { ErrorNotice } from "../design/notice.tsx";

type Target = TelemetrySettings["forward"][number];
type Signal = Target["signals"][number];

const signals: Signal[] = ["traces", "logs", "metrics"];
const mostCopies = 4;

/** `name: value` lines, as they are written in a request. */
function headersOf(text: string): Record<string, string> {
  const pairs = text
    .split("\n")
    .map((line) => /^\s*([^:\s]+)\s*:\s*(.*?)\s*$/.exec(line))
    .filter((match) => match !== null)
    .map(([, name = "", value = ""]) => [name, value]);
  return Object.fromEntries(pairs);
}

export function Copies(props: { where: { project: string; environment: string }; forward: Target[] }) {
  const { where, forward } = props;
  const [endpoint, setEndpoint] = useState("");
  const [headers, setHeaders] = useState("");
  const [wanted, setWanted] = useState<Signal[]>(signals);
  const [leaving, setLeaving] = useState<Target | null>(null);
  const add = useWrite("telemetry.configure", () => {
    setEndpoint("");
    setHeaders("");
  });
  const remove = useWrite("telemetry.configure", () => setLeaving(null));
  return (
    <section className="panel" aria-labelledby="copies">
      <header>
        <h2 id="copies">Copies</h2>
        <span className="aside">of what arrives, to Jaeger, Tempo, a Collector or any other OTLP endpoint</span>
      </header>
      {forward.length === 0 ? (
        <p className="panel-body soft">
          Telemetry stays here. Add the address of an OTLP endpoint to have it there as well.
        </p>
      ) : (
        <div className="scroll-x">
          <table className="rows">
            <thead>
              <tr>
                <th scope="col">Endpoint</th>
                <th scope="col">Signals</th>
                <th scope="col">Headers</th>
                <th scope="col">
                  <span className="visually-hidden">Remove</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {forward.map((target) => (
                <tr key={target.endpoint}>
                  <td className="wide mono">{target.endpoint}</td>
                  <td className="nowrap">{target.signals.join(", ")}</td>
                  <td className="nowrap">
                    {Object.keys(target.headers).join(", ") || <span className="faint">–</span>}
                  </td>
                  <td className="num">
                    <button
                      type="button"
                      className="button small danger"
                      aria-label={`Remove the copy to ${target.endpoint}`}
                      onClick={() => setLeaving(target)}
                    >
                      Remove
                    </button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {forward.length < mostCopies && (
        <form
          className="panel-body settings copy-form"
          aria-label="Add a copy"
          onSubmit={(event) => {
            event.preventDefault();
            const target = { endpoint: endpoint.trim(), headers: headersOf(headers), signals: wanted };
            add.mutate({ ...where, forward: [...forward, target] });
          }}
        >
          <label className="setting">
            <span className="setting-name">Endpoint</span>
            <input
              className="field"
              type="url"
              required
              placeholder="https://collector.example.com:4318"
              value={endpoint}
              onChange={(event) => setEndpoint(event.target.value)}
            />
            <span className="setting-hint">
              OTLP over HTTP; <code>/v1/traces</code> and so on is added
            </span>
          </label>
          <label className="setting">
            <span className="setting-name">Headers</span>
            <textarea
              className="field mono"
              rows={2}
              placeholder={"authorization: Bearer $" + "{secrets.COLLECTOR_TOKEN}"}
              value={headers}
              onChange={(event) => setHeaders(event.target.value)}
            />
            <span className="setting-hint">one a line; a secret stands here by its name only</span>
          </label>
          <fieldset className="setting">
            <legend className="setting-name">Signals</legend>
            <span className="setting-checks">
              {signals.map((signal) => (
                <label key={signal} className="check">
                  <input
                    type="checkbox"
                    checked={wanted.includes(signal)}
                    onChange={(event) =>
                      setWanted(signals.filter((one) => (one === signal ? event.target.checked : wanted.includes(one))))
                    }
                  />
                  {signal}
                </label>
              ))}
            </span>
          </fieldset>
          {add.error && <ErrorNotice error={add.error} />}
          <div className="setting-save">
            <button type="submit" className="button" disabled={add.isPending || wanted.length === 0}>
              {add.isPending ? "Adding…" : "Add copy"}
            </button>
          </div>
        </form>
      )}
      {leaving && (
        <Dialog
          title="Remove the copy?"
          confirm="Remove"
          danger
          busy={remove.isPending}
          error={remove.error}
          onClose={() => setLeaving(null)}
          onConfirm={() => remove.mutate({ ...where, forward: forward.filter((one) => one !== leaving) })}
        >
          <p>
            <span className="mono">{leaving.endpoint}</span> gets nothing from then on. What it has already stays there.
          </p>
        </Dialog>
      )}
    </section>
  );
}
