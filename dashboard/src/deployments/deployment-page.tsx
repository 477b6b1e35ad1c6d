// Deployment page: its phases, why it failed and what to do, its live build log, and the instances that run.
import { calmMs, liveMs, useRead, useWrite } from "../api/hooks.ts";
import type { Deployment } from "../api/types.ts";
import { commit, seconds } from "../design/format.ts";
import { ErrorNotice } from "../design/notice.tsx";
import { Ago } from "../design/time.tsx";
import { Page, Waiting } from "../frame/frame.tsx";
import { BuildLog } from "./build-log.tsx";
import { RollbackButton } from "./rollback.tsx";
import { causeText, isMoving, statusTone } from "./words.ts";
import "./deployment.css";

const phaseNames = { queued: "queue", build: "build", start: "start" } as const;

const instanceTone: Record<string, string> = {
  healthy: "good",
  starting: "accent busy",
  unhealthy: "bad",
  draining: "warn",
};

function Phases({ deployment }: { deployment: Deployment }) {
  const phases = (Object.keys(phaseNames) as (keyof typeof phaseNames)[]).map((name) => ({
    name,
    seconds: deployment.phases[name],
  }));
  const total = phases.reduce((sum, phase) => sum + (phase.seconds ?? 0), 0);
  return (
    <section className="panel" aria-labelledby="phases">
      <header>
        <h2 id="phases">Where the time went</h2>
        <span className="aside">
          {deployment.pushToHealthySeconds !== null &&
            `${seconds(deployment.pushToHealthySeconds)} from ${deployment.cause === "push" ? "push" : "the request"} to healthy`}
        </span>
      </header>
      <div className="panel-body">
        {total > 0 && (
          <div className="phase-bar" aria-hidden="true">
            {phases.map((phase) => (
              <span key={phase.name} className={phase.name} style={{ flexGrow: phase.seconds ?? 0 }} />
            ))}
          </div>
        )}
        <dl className="phase-list">
          {phases.map((phase) => (
            <div key={phase.name} className={phase.name}>
              <dt>{phaseNames[phase.name]}</dt>
              <dd>{phase.seconds === null ? "–" : seconds(phase.seconds)}</dd>
            </div>
          ))}
        </dl>
      </div>
    </section>
  );
}

function Instances({ deployment }: { deployment: Deployment }) {
  const running = deployment.instances.filter((one) => one.state !== "exited").length;
  return (
    <section className="panel" aria-labelledby="instances">
      <header>
        <h2 id="instances">Instances</h2>
        <span className="aside">{running} running</span>
      </header>
      {deployment.instances.length === 0 ? (
        <p className="panel-body soft">None runs.</p>
      ) : (
        <div className="scroll-x">
          <table className="rows">
            <thead>
              <tr>
                <th scope="col">Instance</th>
                <th scope="col">State</th>
                <th scope="col" className="num">
                  Process
                </th>
                <th scope="col" className="num">
                  Started
                </th>
              </tr>
            </thead>
            <tbody>
              {deployment.instances.map((instance) => (
                <tr key={instance.id}>
                  <td className="mono wide">{instance.id}</td>
                  <td className="nowrap">
                    <span className={`state ${instanceTone[instance.state] ?? ""}`}>{instance.state}</span>
                  </td>
                  <td className="num">{instance.pid}</td>
                  <td className="num">
                    <Ago time={instance.startedAt} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

export default function DeploymentPage({ id }: { id: string }) {
  const {
    data: deployment,
    error,
    refetch,
  } = useRead(
    "deployments.get",
    { deployment: id },
    { every: (known) => (known && isMoving(known) ? liveMs : calmMs) },
  );
  const cancel = useWrite("deployments.cancel");
  if (!deployment) {
    return (
      <Page title="Deployment" crumbs={[{ text: "Projects", to: "/projects" }]}>
        {error ? <ErrorNotice error={error} retry={() => void refetch()} /> : <Waiting />}
      </Page>
    );
  }
  const { project, environment, status, reason } = deployment;
  const title = deployment.commitMessage || `Commit ${commit(deployment.commit)}`;
  return (
    <Page
      title={title}
      documentTitle={`${status}: ${title}`}
      crumbs={[
        { text: "Projects", to: "/projects" },
        { text: project, to: `/projects/${project}` },
        { text: environment },
      ]}
      under={
        <>
          <span className={`state ${statusTone[status]}`}>{status}</span>
          <span className="mono">{commit(deployment.commit)}</span>
          <span>
            {causeText[deployment.cause]}, <Ago time={deployment.createdAt} />
          </span>
          {status === "live" && <a href={deployment.url}>{deployment.url.replace(/^https?:\/\//, "")}</a>}
        </>
      }
      actions={
        <>
          {(status === "queued" || status === "building") && (
            <button
              type="button"
              className="button"
              disabled={cancel.isPending}
              onClick={() => cancel.mutate({ deployment: id })}
            >
              {cancel.isPending ? "Canceling…" : "Cancel"}
            </button>
          )}
          {status === "superseded" && (
            <RollbackButton
              project={project}
              environment={environment}
              deployment={id}
              text="Roll back to this"
              target={`The release of ${commit(deployment.commit)}`}
            />
          )}
        </>
      }
    >
      <div className="stack">
        {cancel.error && <ErrorNotice error={cancel.error} />}
        {reason && <ErrorNotice error={reason} />}
        <div className="deployment-grid">
          <Phases deployment={deployment} />
          <Instances deployment={deployment} />
        </div>
        <BuildLog deployment={id} />
      </div>
    </Page>
  );
}
