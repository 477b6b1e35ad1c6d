// Telemetry page: how to send telemetry, how long it is kept, which traces are, and where copies go.
import { useState } from "react";
import { useRead, useWrite } from "../api/hooks.ts";
import type { TelemetrySettings } from "../api/types.ts";
import { ErrorNotice } from "../design/notice.tsx";
import { Page, ProjectTabs, Waiting } from "../frame/frame.tsx";
import { useEnvironment } from "../projects/use-environment.tsx";
import "../traces/traces.css";
import { Copies } from "./copies.tsx";
import "./settings.css";

interface Where {
  project: string;
  environment: string;
}

const signals = ["traces", "logs", "metrics"] as const;

function NumberField(props: {
  label: string;
  hint: string;
  unit: string;
  value: number;
  min: number;
  max: number;
  step?: number;
  disabled?: boolean;
  onChange: (value: number) => void;
}) {
  return (
    <label className="setting">
      <span className="setting-name">{props.label}</span>
      <span className="setting-value">
        <input
          className="field"
          type="number"
          required
          inputMode="decimal"
          min={props.min}
          max={props.max}
          step={props.step ?? 1}
          disabled={props.disabled}
          value={Number.isNaN(props.value) ? "" : props.value}
          onChange={(event) => props.onChange(event.target.valueAsNumber)}
        />
        <span className="soft">{props.unit}</span>
      </span>
      <span className="setting-hint">{props.hint}</span>
    </label>
  );
}

function Saved({ changed, busy, done, error }: { changed: boolean; busy: boolean; done: boolean; error: unknown }) {
  return (
    <>
      {error ? <ErrorNotice error={error} /> : null}
      <div className="setting-save">
        <button type="submit" className="button primary" disabled={!changed || busy}>
          {busy ? "Saving…" : "Save"}
        </button>
        <span className="soft small" role="status">
          {done && !changed ? "Saved" : ""}
        </span>
      </div>
    </>
  );
}

function Retention({ where, settings }: { where: Where; settings: TelemetrySettings }) {
  const [days, setDays] = useState(settings.retentionDays);
  const save = useWrite("telemetry.configure");
  const changed = signals.some((signal) => days[signal] !== settings.retentionDays[signal]);
  return (
    <form
      className="panel"
      aria-labelledby="retention"
      onSubmit={(event) => {
        event.preventDefault();
        save.mutate({ ...where, retentionDays: days });
      }}
    >
      <header>
        <h2 id="retention">Kept for</h2>
        <span className="aside">holds for what arrives from then on</span>
      </header>
      <div className="panel-body settings">
        {signals.map((signal) => (
          <NumberField
            key={signal}
            label={signal}
            hint="1 to 400"
            unit="days"
            min={1}
            max={400}
            value={days[signal]}
            onChange={(value) => setDays({ ...days, [signal]: value })}
          />
        ))}
        <Saved changed={changed} busy={save.isPending} done={save.isSuccess} error={save.error} />
      </div>
    </form>
  );
}

const round = (value: number) => Math.round(value * 1e6) / 1e6;

function Sampling({ where, settings }: { where: Where; settings: TelemetrySettings }) {
  const [sampling, setSampling] = useState(settings.sampling);
  const save = useWrite("telemetry.configure");
  const changed = JSON.stringify(sampling) !== JSON.stringify(settings.sampling);
  const all = sampling.keepShare >= 1;
  return (
    <form
      className="panel"
      aria-labelledby="sampling"
      onSubmit={(event) => {
        event.preventDefault();
        save.mutate({ ...where, sampling });
      }}
    >
      <header>
        <h2 id="sampling">Traces that are kept</h2>
        <span className="aside">{all ? "all" : "failed, slow and cited ones always"}</span>
      </header>
      <div className="panel-body settings">
        <NumberField
          label="Ordinary traces kept"
          hint="100 keeps all. Numbers of requests stay true: each kept span counts for those it stands for."
          unit="%"
          min={0}
          max={100}
          step={0.01}
          value={round(sampling.keepShare * 100)}
          onChange={(value) => setSampling({ ...sampling, keepShare: round(value / 100) })}
        />
        <NumberField
          label="Slow from"
          hint="Of the durations of a trace's own operation: 95 keeps the slowest twentieth."
          unit="th percentile"
          min={50}
          max={99.99}
          step={0.01}
          disabled={all}
          value={round(sampling.slowQuantile * 100)}
          onChange={(value) => setSampling({ ...sampling, slowQuantile: round(value / 100) })}
        />
        <NumberField
          label="At least"
          hint="Ordinary traces of every operation, however rare it is."
          unit="a minute"
          min={0}
          max={1000}
          disabled={all}
          value={sampling.minPerMinute}
          onChange={(value) => setSampling({ ...sampling, minPerMinute: value })}
        />
        <NumberField
          label="Decided after"
          hint="From a trace's first span; spans that come later follow the decision."
          unit="seconds"
          min={1}
          max={120}
          disabled={all}
          value={sampling.waitSeconds}
          onChange={(value) => setSampling({ ...sampling, waitSeconds: value })}
        />
        <Saved changed={changed} busy={save.isPending} done={save.isSuccess} error={save.error} />
      </div>
    </form>
  );
}

function Send({ project, environment }: Where) {
  const origin = window.location.origin;
  const at = environment === "production" ? "" : ` --environment ${environment}`;
  return (
    <section className="panel" id="send" aria-labelledby="send-title">
      <header>
        <h2 id="send-title">Send telemetry</h2>
        <span className="aside">OTLP over HTTP and gRPC</span>
      </header>
      <div className="panel-body settings-text">
        <p>
          An app that is deployed here sends its traces and logs by itself. An app that runs elsewhere and has
          OpenTelemetry, in any language, needs three variables. This prints them, with a token that can send telemetry
          of this environment and nothing else:
        </p>
        <pre className="statement">{`npx tsdev otlp --project ${project}${at}`}</pre>
        <pre className="statement">
          {`OTEL_EXPORTER_OTLP_ENDPOINT='${origin}'
OTEL_EXPORTER_OTLP_HEADERS='authorization=Bearer tsi_…'
OTEL_EXPORTER_OTLP_PROTOCOL='http/protobuf'`}
        </pre>
        <p className="soft small">
          An OpenTelemetry Collector takes the same address and header in its <code>otlphttp</code> exporter. The whole
          way, with the smallest apps in Node, Python and Go: <code>docs/how-to/send-telemetry.md</code>.
        </p>
      </div>
    </section>
  );
}

export default function TelemetryPage({ project }: { project: string }) {
  const { environment, select } = useEnvironment(project);
  const where = { project, environment };
  const { data, error, refetch } = useRead("telemetry.settings", where);
  const key = `${environment}/${JSON.stringify(data)}`;
  return (
    <Page title={project} documentTitle={`Telemetry of ${project}`} crumbs={[{ text: "Projects", to: "/projects" }]}>
      <ProjectTabs project={project} />
      {select && <div className="filters">{select}</div>}
      <div className="stack">
        {error ? (
          <ErrorNotice error={error} retry={() => void refetch()} />
        ) : !data ? (
          <Waiting />
        ) : (
          <>
            <div className="settings-grid">
              <Retention key={`retention/${key}`} where={where} settings={data} />
              <Sampling key={`sampling/${key}`} where={where} settings={data} />
            </div>
            <Copies key={`copies/${environment}`} where={where} forward={data.forward} />
          </>
        )}
        <Send {...where} />
      </div>
    </Page>
  );
}
