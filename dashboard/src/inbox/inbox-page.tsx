// Inbox: every suggestion by what it waits for, and below it what looked like one and was left alone.
import { Link } from "wouter";
import type { Suggestion } from "../api/types.ts";
import { date, milliseconds, place, plural } from "../design/format.ts";
import { Empty, ErrorNotice } from "../design/notice.tsx";
import { Prose } from "../design/prose.tsx";
import { Ago } from "../design/time.tsx";
import { Page, Waiting } from "../frame/frame.tsx";
import { Headline } from "../suggestions/measure.tsx";
import { detectorName, type Stage, stageOf, stages } from "../suggestions/words.ts";
import { ProgressLine } from "./progress-line.tsx";
import { type Inbox, type PlacedRejection, useInbox } from "./use-inbox.ts";
import "./inbox.css";

const settled: Stage[] = ["snoozed", "dismissed", "obsolete"];

function Row({ suggestion }: { suggestion: Suggestion }) {
  const { finding, pullRequest } = suggestion;
  const stage = stageOf(suggestion);
  const where = place(finding.file, finding.line);
  const why =
    stage === "declined"
      ? suggestion.declined?.reason
      : stage === "dismissed"
        ? suggestion.dismissedReason
        : stage === "snoozed" && suggestion.snoozedUntil
          ? `until ${date(suggestion.snoozedUntil)}`
          : stage === "not-proven"
            ? (suggestion.proof?.differences[0] ?? "equal, but not better")
            : null;
  return (
    <li className="suggestion-row">
      <div className="what">
        <p className="kind">{detectorName(suggestion.detector)}</p>
        <h3>
          <Link href={`/suggestions/${suggestion.id}`}>{finding.title}</Link>
        </h3>
        <p className="where">
          {where && <span className="mono">{where}</span>}
          <span>
            {suggestion.project}
            {suggestion.environment !== "production" && ` / ${suggestion.environment}`}
          </span>
          <span className="faint">
            {milliseconds(finding.wastedMs)} wasted in{" "}
            {plural(finding.occurrences, "request or run", "requests or runs")}
          </span>
        </p>
        {why && (
          <p className="why">
            <Prose text={why} />
          </p>
        )}
      </div>
      <Headline suggestion={suggestion} />
      <div className="stage">
        <span className={`state ${stages[stage].tone}`}>{stages[stage].word}</span>
        <p className="faint small">
          {pullRequest && (
            <>
              <Link
                href={`/projects/${suggestion.project}/pulls/${pullRequest.number}`}
                aria-label={`Pull request ${pullRequest.number}`}
              >
                #{pullRequest.number}
              </Link>
              {" · "}
            </>
          )}
          <Ago time={suggestion.updatedAt} />
        </p>
      </div>
    </li>
  );
}

function Group({ stage, suggestions }: { stage: Stage; suggestions: Suggestion[] }) {
  const rows = (
    <ul className="panel suggestion-rows">
      {suggestions.map((suggestion) => (
        <Row key={suggestion.id} suggestion={suggestion} />
      ))}
    </ul>
  );
  if (settled.includes(stage)) {
    return (
      <details className="group">
        <summary>
          <h2>{stages[stage].title}</h2> <span className="count">{suggestions.length}</span>
        </summary>
        {rows}
      </details>
    );
  }
  return (
    <section className="group">
      <header>
        <h2>{stages[stage].title}</h2> <span className="count">{suggestions.length}</span>
      </header>
      {rows}
    </section>
  );
}

function LeftAlone({ rejections }: { rejections: PlacedRejection[] }) {
  return (
    <section className="group left-alone">
      <header>
        <h2>Looked like it, left alone</h2> <span className="count">{rejections.length}</span>
      </header>
      <ul className="panel">
        {rejections.map((rejection) => (
          <li key={`${rejection.project}/${rejection.environment}/${rejection.fingerprint}`}>
            <div>
              <p className="subject">{rejection.subject}</p>
              <p className="faint small">
                {detectorName(rejection.detector)}
                {rejection.file && (
                  <>
                    {" · "}
                    <span className="mono">{place(rejection.file, rejection.line)}</span>
                  </>
                )}
              </p>
            </div>
            <p className="reason">
              <Prose text={rejection.reason} />
            </p>
            <p className="small to-trace">
              {rejection.traceIds[0] && (
                <Link href={`/traces/${rejection.traceIds[0]}`} aria-label={`A trace of ${rejection.subject}`}>
                  trace
                </Link>
              )}
            </p>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Nothing({ projects }: Pick<Inbox, "projects">) {
  if (projects.length === 0) {
    return (
      <Empty title="Nothing is deployed yet" command="cd my-app && npx tsdev deploy">
        Deploy an app; what is found in its traces shows up here, each with a patch and a proof.
      </Empty>
    );
  }
  const live = projects.some((project) => project.environments.some((one) => one.liveDeployment));
  return live ? (
    <Empty title="Nothing found so far">
      The traces of what is live are looked at every minute. Send the app some traffic: a pattern must be seen several
      times before it is believed.
    </Empty>
  ) : (
    <Empty title="Nothing is live" command="npx tsdev deploy">
      Deploy in the app's folder; what is found in its traces shows up here.
    </Empty>
  );
}

export function InboxPage() {
  const inbox = useInbox();
  const { suggestions, rejections } = inbox;
  const groups = new Map<Stage, Suggestion[]>();
  for (const suggestion of suggestions) {
    const stage = stageOf(suggestion);
    groups.set(stage, [...(groups.get(stage) ?? []), suggestion]);
  }
  const waiting = (groups.get("offered")?.length ?? 0) + (groups.get("proven")?.length ?? 0);
  return (
    <Page
      title="Suggestions"
      documentTitle={waiting > 0 ? `(${waiting}) Suggestions` : "Suggestions"}
      under={
        suggestions.length > 0 && (
          <span>
            {waiting === 0 ? "Nothing waits for you" : `${waiting} to review`} · {suggestions.length} found in the
            traces of {plural(inbox.projects.length, "project")}, each proven by replay or it says why not
          </span>
        )
      }
    >
      <ProgressLine
        places={inbox.places}
        inWork={inbox.inWork}
        titleOf={(id) => suggestions.find((one) => one.id === id)?.finding.title ?? null}
      />
      {inbox.error ? (
        <ErrorNotice error={inbox.error} />
      ) : inbox.loading ? (
        <Waiting />
      ) : (
        <>
          {suggestions.length === 0 && <Nothing projects={inbox.projects} />}
          {(Object.keys(stages) as Stage[]).map((stage) => {
            const list = groups.get(stage);
            return list && <Group key={stage} stage={stage} suggestions={list} />;
          })}
          {rejections.length > 0 && <LeftAlone rejections={rejections} />}
        </>
      )}
    </Page>
  );
}
