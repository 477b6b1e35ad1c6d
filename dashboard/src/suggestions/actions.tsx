// Actions on a suggestion: open its pull request, dismiss it with a reason, snooze it.
import { useState } from "react";
import { Link } from "wouter";
import { useWrite } from "../api/hooks.ts";
import type { Suggestion } from "../api/types.ts";
import { Dialog } from "../design/dialog.tsx";
import { ErrorNotice } from "../design/notice.tsx";
import { stageOf } from "./words.ts";

const reasons = ["It is a false alarm", "It is not worth the change", "We change it in another way"];
const spans = [
  { days: 1, text: "1 day" },
  { days: 7, text: "1 week" },
  { days: 30, text: "30 days" },
];
const shortestReason = 3;

function DismissDialog({ suggestion, onClose }: { suggestion: Suggestion; onClose: () => void }) {
  const [reason, setReason] = useState("");
  const dismiss = useWrite("suggestions.dismiss", onClose);
  return (
    <Dialog
      title="Dismiss this suggestion?"
      confirm="Dismiss"
      danger
      busy={dismiss.isPending}
      ready={reason.trim().length >= shortestReason}
      error={dismiss.error}
      onClose={onClose}
      onConfirm={() => dismiss.mutate({ suggestion: suggestion.id, reason })}
    >
      <p>It is not proposed again while its cause stays the same. The reason is kept with it.</p>
      <div className="dialog-choices">
        {reasons.map((text) => (
          <button key={text} type="button" className="button small" onClick={() => setReason(text)}>
            {text}
          </button>
        ))}
      </div>
      <textarea
        className="field"
        aria-label="Reason"
        placeholder="Why not?"
        value={reason}
        maxLength={2000}
        onChange={(event) => setReason(event.target.value)}
      />
    </Dialog>
  );
}

function SnoozeDialog({ suggestion, onClose }: { suggestion: Suggestion; onClose: () => void }) {
  const [days, setDays] = useState(7);
  const snooze = useWrite("suggestions.snooze", onClose);
  return (
    <Dialog
      title="Snooze this suggestion?"
      confirm="Snooze"
      busy={snooze.isPending}
      error={snooze.error}
      onClose={onClose}
      onConfirm={() => snooze.mutate({ suggestion: suggestion.id, days })}
    >
      <p>It is out of the way until then, and comes back if it is still seen.</p>
      <div className="dialog-choices">
        <fieldset className="segments" aria-label="For how long">
          {spans.map((span) => (
            <button key={span.days} type="button" aria-pressed={days === span.days} onClick={() => setDays(span.days)}>
              {span.text}
            </button>
          ))}
        </fieldset>
      </div>
    </Dialog>
  );
}

export function SuggestionActions({ suggestion }: { suggestion: Suggestion }) {
  const [asking, setAsking] = useState<"dismiss" | "snooze" | null>(null);
  const apply = useWrite("suggestions.apply");
  const stage = stageOf(suggestion);
  const { pullRequest, project } = suggestion;
  const close = () => setAsking(null);
  const canBeLeft = suggestion.state === "open" || suggestion.state === "snoozed";
  return (
    <>
      {pullRequest && (
        <Link
          className={pullRequest.state === "open" ? "button primary" : "button"}
          href={`/projects/${project}/pulls/${pullRequest.number}`}
        >
          {pullRequest.state === "open" ? "Review" : "See"} pull request #{pullRequest.number}
        </Link>
      )}
      {stage === "proven" && (
        <button
          type="button"
          className="button primary"
          disabled={apply.isPending}
          onClick={() => apply.mutate({ suggestion: suggestion.id })}
        >
          {apply.isPending ? "Opening…" : "Open pull request"}
        </button>
      )}
      {canBeLeft && (
        <>
          <button type="button" className="button" onClick={() => setAsking("snooze")}>
            Snooze
          </button>
          <button type="button" className="button" onClick={() => setAsking("dismiss")}>
            Dismiss
          </button>
        </>
      )}
      {apply.error && <ErrorNotice error={apply.error} />}
      {asking === "dismiss" && <DismissDialog suggestion={suggestion} onClose={close} />}
      {asking === "snooze" && <SnoozeDialog suggestion={suggestion} onClose={close} />}
    </>
  );
}
