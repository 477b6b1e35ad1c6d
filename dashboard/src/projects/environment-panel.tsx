// Environment panel: what is live and where, how many instances run, scale, roll back, and its deployments.
import { useEffect, useState } from "react";
import { Link } from "wouter";
import { calmMs, liveMs, useRead, useWrite } from "../api/hooks.ts";
import type { Deployment, Environment } from "../api/types.ts";
import { RollbackButton } from "../deployments/rollback.tsx";
import { causeText, isMoving, statusTone } from "../deployments/words.ts";
import { commit, plural, seconds } from "../design/format.ts";
import { Empty, ErrorNotice } from "../design/notice.tsx";
import { Ago } from "../design/time.tsx";

const mostInstances = 20;

function Scale({ project, environment }: { project: string; environment: Environment }) {
  const [wanted, setWanted] = useState(environment.replicas);
  const scale = useWrite("deployments.scale");
  useEffect(() => setWanted(environment.replicas), [environment.replicas]);
  const set = (replicas: number) => setWanted(Math.max(0, Math.min(mostInstances, replicas)));
  return (
    <form
      className="scale"
      onSubmit={(event) => {
        event.preventDefault();
        scale.mutate({ project, environment: environment.name, replicas: wanted });
      }}
    >
      <button
        type="button"
        className="button square"
        aria-label="One instance fewer"
        disabled={wanted <= 0}
        onClick={() => set(wanted - 1)}
      >
        −
      </button>
      <input
        className="field"
        type="number"
        inputMode="numeric"
        aria-label={`Instances of ${environment.name}`}
        min={0}
        max={mostInstances}
        value={wanted}
        onChange={(event) => set(event.target.valueAsNumber || 0)}
      />
      <button
        type="button"
        className="button square"
        aria-label="One instance more"
        disabled={wanted >= mostInstances}
        onClick={() => set(wanted + 1)}
      >
        +
      </button>
      {(wanted !== environment.replicas || scale.isPending) && (
        <button type="submit" className="button primary" disabled={scale.isPending}>
          {scale.isPending ? "Scaling…" : `Scale to ${wanted}`}
        </button>
      )}
      {scale.error && <ErrorNotice error={scale.error} />}
    </form>
  );
}

function Deployments({ deployments }: { deployments: Deployment[] }) {
  return (
    <div className="scroll-x">
      <table className="rows">
        <thead>
          <tr>
            <th scope="col">Status</th>
            <th scope="col">Commit</th>
            <th scope="col">Cause</th>
            <th scope="col" className="num">
              To healthy
            </th>
            <th scope="col" className="num">
              When
            </th>
          </tr>
        </thead>
        <tbody>
          {deployments.map((deployment) => (
            <tr key={deployment.id}>
              <td className="nowrap">
                <span className={`state ${statusTone[deployment.status]}`}>{deployment.status}</span>
              </td>
              <td className="wide">
                <Link href={`/deployments/${deployment.id}`}>
                  {deployment.commitMessage || `deployment ${deployment.id}`}
                </Link>{" "}
                <span className="mono faint">{commit(deployment.commit)}</span>
                {deployment.reason && <p className="soft small">{deployment.reason.message}</p>}
              </td>
              <td className="nowrap">{causeText[deployment.cause]}</td>
              <td className="num">
                {deployment.pushToHealthySeconds === null ? "–" : seconds(deployment.pushToHealthySeconds)}
              </td>
              <td className="num">
                <Ago time={deployment.createdAt} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function EnvironmentPanel({ project, environment }: { project: string; environment: Environment }) {
  const { data, error } = useRead(
    "deployments.list",
    { project, environment: environment.name },
    { every: (known) => (known?.deployments.some(isMoving) ? liveMs : calmMs) },
  );
  const deployments = data?.deployments ?? [];
  const live = deployments.find((deployment) => deployment.id === environment.liveDeployment);
  const earlier = deployments.find((deployment) => deployment.status === "superseded" && deployment.release);
  return (
    <section className="panel environment" aria-labelledby={`environment-${environment.name}`}>
      <header>
        <h2 id={`environment-${environment.name}`}>{environment.name}</h2>
        <span className="aside">
          follows <span className="mono">{environment.branch}</span>
        </span>
      </header>
      {live && (
        <div className="live">
          <dl>
            <div>
              <dt>Answers at</dt>
              <dd>
                <a href={environment.url}>{environment.url.replace(/^https?:\/\//, "")}</a>
              </dd>
            </div>
            <div>
              <dt>Live</dt>
              <dd>
                <Link href={`/deployments/${live.id}`} className="mono">
                  {commit(live.commit)}
                </Link>{" "}
                <span className="soft">{live.liveAt && <Ago time={live.liveAt} />}</span>
              </dd>
            </div>
            <div>
              <dt>Instances</dt>
              <dd>
                {live.instances.length < environment.replicas
                  ? `${live.instances.length} of ${environment.replicas}`
                  : plural(live.instances.length, "instance")}
              </dd>
            </div>
          </dl>
          <div className="actions">
            <Scale project={project} environment={environment} />
            {earlier && (
              <RollbackButton
                project={project}
                environment={environment.name}
                text="Roll back"
                target="The release before the live one"
              />
            )}
          </div>
        </div>
      )}
      {error && <ErrorNotice error={error} />}
      {data && deployments.length === 0 && (
        <div className="panel-body">
          <Empty title="Nothing was deployed here" command={`git push tsdev HEAD:${environment.branch}`}>
            A push to {environment.branch} is built and made live. `npx tsdev deploy` in the app's folder does it, too.
          </Empty>
        </div>
      )}
      {deployments.length > 0 && <Deployments deployments={deployments} />}
    </section>
  );
}
