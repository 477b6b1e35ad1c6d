// Suggestion page: the claim, its evidence and proof, the change, and what to do about it.
import { useMemo } from "react";
import { Link } from "wouter";
import { calmMs, liveMs, useRead } from "../api/hooks.ts";
import type { Suggestion } from "../api/types.ts";
import { commit, date, number, place, plural } from "../design/format.ts";
import { ErrorNotice } from "../design/notice.tsx";
import { Prose } from "../design/prose.tsx";
import { Ago } from "../design/time.tsx";
import { DiffView } from "../diff/diff-view.tsx";
import { fromTexts } from "../diff/patch-lines.ts";
import { Page, Waiting } from "../frame/frame.tsx";
import { ProgressLine } from "../inbox/progress-line.tsx";
import "../inbox/inbox.css";
import { SuggestionActions } from "./actions.tsx";
import { EvidencePanel } from "./evidence-panel.tsx";
import { Headline } from "./measure.tsx";
import { Checked, ProofPanel } from "./proof-panel.tsx";
import { detectorName, stageOf, stages } from "./words.ts";
import "./suggestion.css";

/** What happened to it that the reader must know before anything else. */
function Outcome({ suggestion }: { suggestion: Suggestion }) {
  const { verdict, declined, proof, dismissedReason, snoozedUntil, state } = suggestion;
  if (verdict) {
    const held = verdict.result === "held";
    return (
      <div className={`notice ${held ? "good" : "bad"}`}>
        <p>
          <strong>{held ? "Held." : "Did not hold."}</strong> Measured again after the merge: {verdict.measure}{" "}
          {number(verdict.before)} → {number(verdict.after)}, over {plural(verdict.requests, "request")} of{" "}
          <Link href={`/deployments/${verdict.deployment}`}>the new deployment</Link>.
        </p>
        {!held && <p className="fix">The code does no harm that the proof looked for; revert it if you prefer.</p>}
      </div>
    );
  }
  if (state === "merged")
    return (
      <div className="notice">
        <p>Merged. It is measured again once the new deployment has seen enough traffic.</p>
      </div>
    );
  if (state === "dismissed")
    return (
      <div className="notice">
        <p>
          Dismissed: {dismissedReason}.{" "}
          <span className="soft">It is not proposed again while its cause stays the same.</span>
        </p>
      </div>
    );
  if (state === "snoozed" && snoozedUntil)
    return (
      <div className="notice">
        <p>Snoozed until {date(snoozedUntil)}.</p>
      </div>
    );
  if (declined)
    return (
      <div className="notice warn">
        <code className="code">{declined.condition}</code>
        <p>
          <strong>No patch was made.</strong> <Prose text={declined.reason} />
          {declined.file && <span className="mono"> {place(declined.file, declined.line)}</span>}
        </p>
        <p className="fix">The finding stands; change the code by hand.</p>
      </div>
    );
  if (proof && !proof.equal)
    return (
      <div className="notice bad">
        <p>
          <strong>Not equal, so no pull request.</strong> The first differences that the replay saw:
        </p>
        <ul className="dashes mono">
          {proof.differences.map((line) => (
            <li key={line}>{line}</li>
          ))}
        </ul>
      </div>
    );
  if (proof && !proof.better)
    return (
      <div className="notice warn">
        <p>
          <strong>Equal, but not better, so no pull request.</strong> The measure that the finding is about did not
          improve beyond its interval.
        </p>
      </div>
    );
  return null;
}

function Cause({ suggestion }: { suggestion: Suggestion }) {
  const { finding, patch, baseCommit } = suggestion;
  const where = place(patch?.file ?? finding.file, patch?.line ?? finding.line);
  const frame = finding.evidence.kind === "n-plus-one" ? finding.evidence.frames[0] : undefined;
  return (
    <>
      <h2>{patch ? "The change" : "The cause"}</h2>{" "}
      <span className="aside">
        {where && <span className="mono">{where}</span>}
        {frame?.function && ` in ${frame.function}`} at <span className="mono">{commit(baseCommit)}</span>
      </span>
    </>
  );
}

function Body({ suggestion }: { suggestion: Suggestion }) {
  const { patch, proof, finding } = suggestion;
  const files = useMemo(() => fromTexts(patch?.files ?? []), [patch]);
  return (
    <div className="stack">
      <Outcome suggestion={suggestion} />
      <div className="pair">
        {proof && <ProofPanel proof={proof} />}
        <EvidencePanel finding={finding} />
        {!patch && (
          <section className="panel">
            <header>
              <Cause suggestion={suggestion} />
            </header>
            <p className="panel-body soft">
              {suggestion.declined
                ? "It is changed by hand; why no patch was made stands above."
                : "A patch is being made; it shows up here."}
            </p>
          </section>
        )}
      </div>
      {patch && (
        <div>
          <DiffView
            files={files}
            title={
              <div>
                <Cause suggestion={suggestion} />
              </div>
            }
          />
          <ul className="dashes reasoning">
            {patch.reasoning.map((line) => (
              <li key={line}>
                <Prose text={line} />
              </li>
            ))}
          </ul>
        </div>
      )}
      {proof && patch && (
        <div className="trio">
          <Checked proof={proof} />
          <section className="panel" aria-labelledby="not-proven">
            <header>
              <h2 id="not-proven">What is not proven</h2>
            </header>
            <ul className="panel-body dashes">
              {proof.notProven.length === 0 && <li>nothing that is known</li>}
              {proof.notProven.map((line) => (
                <li key={line}>
                  <Prose text={line} />
                </li>
              ))}
            </ul>
          </section>
          <section className="panel" aria-labelledby="risk">
            <header>
              <h2 id="risk">Risk and the way back</h2>
            </header>
            <div className="panel-body small-stack">
              <p>
                <Prose text={patch.risk} />
              </p>
              <p className="soft">
                To go back, revert the commit, or roll back on the{" "}
                <Link href={`/projects/${suggestion.project}`}>project's page</Link>: it takes about a second.
              </p>
            </div>
          </section>
        </div>
      )}
    </div>
  );
}

export default function SuggestionPage({ id }: { id: string }) {
  const {
    data: suggestion,
    error,
    refetch,
  } = useRead(
    "suggestions.get",
    { suggestion: id },
    { every: (known) => (known && stageOf(known) === "in-work" ? liveMs : calmMs) },
  );
  if (!suggestion) {
    return (
      <Page title="Suggestion" crumbs={[{ text: "Inbox", to: "/inbox" }]}>
        {error ? <ErrorNotice error={error} retry={() => void refetch()} /> : <Waiting />}
      </Page>
    );
  }
  const stage = stageOf(suggestion);
  return (
    <Page
      title={suggestion.finding.title}
      crumbs={[
        { text: "Inbox", to: "/inbox" },
        { text: suggestion.project, to: `/projects/${suggestion.project}` },
        { text: detectorName(suggestion.detector) },
      ]}
      under={
        <>
          <span className={`state ${stages[stage].tone}`}>{stages[stage].word}</span>
          <span>
            found <Ago time={suggestion.createdAt} />
          </span>
          <span>{suggestion.environment}</span>
          <span className="faint mono">{suggestion.fingerprint}</span>
        </>
      }
      actions={<SuggestionActions suggestion={suggestion} />}
    >
      <div className="claim">
        <Headline suggestion={suggestion} large />
      </div>
      {stage === "in-work" && (
        <ProgressLine
          places={[{ project: suggestion.project, environment: suggestion.environment }]}
          inWork={1}
          label="in work"
          titleOf={(other) => (other === id ? null : "another suggestion")}
        />
      )}
      <Body suggestion={suggestion} />
    </Page>
  );
}
