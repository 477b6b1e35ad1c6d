// Rollback: a button that asks first, then makes an earlier release live again.
import { useState } from "react";
import { useLocation } from "wouter";
import { useWrite } from "../api/hooks.ts";
import { Dialog } from "../design/dialog.tsx";

export function RollbackButton(props: {
  project: string;
  environment: string;
  /** Default: the release before the live one. */
  deployment?: string;
  text: string;
  /** What becomes live, in words. */
  target: string;
}) {
  const [asking, setAsking] = useState(false);
  const [, navigate] = useLocation();
  const rollback = useWrite("deployments.rollback", (made) => navigate(`/deployments/${made.id}`));
  const { project, environment, deployment } = props;
  return (
    <>
      <button type="button" className="button" onClick={() => setAsking(true)}>
        {props.text}
      </button>
      {asking && (
        <Dialog
          title={`Roll back ${project} / ${environment}?`}
          confirm="Roll back"
          busy={rollback.isPending}
          error={rollback.error}
          onClose={() => setAsking(false)}
          onConfirm={() => rollback.mutate({ project, environment, ...(deployment ? { deployment } : {}) })}
        >
          <p>
            {props.target} becomes live again. It is kept, so nothing is built; no request fails, and the database stays
            as it is.
          </p>
        </Dialog>
      )}
    </>
  );
}
