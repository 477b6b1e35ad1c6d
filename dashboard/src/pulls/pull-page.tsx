// Pull request page: what it says, its diff and comments, and merge or close.
import { useMemo, useState } from "react";
import { Link } from "wouter";
import { calmMs, useRead, useWrite } from "../api/hooks.ts";
import type { PullRequest, PullRequestComment } from "../api/types.ts";
import { Dialog } from "../design/dialog.tsx";
import { commit, plural } from "../design/format.ts";
import { ErrorNotice } from "../design/notice.tsx";
import { Ago } from "../design/time.tsx";
import { DiffView } from "../diff/diff-view.tsx";
import { fromUnified } from "../diff/patch-lines.ts";
import { Page, ProjectTabs, Waiting } from "../frame/frame.tsx";
import { MarkdownText } from "./markdown.tsx";
import { pullTone } from "./pulls-page.tsx";
import "./pull.css";

interface Ref {
  project: string;
  number: number;
}

function Actions({ project, number, pull }: Ref & { pull: PullRequest }) {
  const [asking, setAsking] = useState<"merge" | "close" | null>(null);
  const done = () => setAsking(null);
  const merge = useWrite("pulls.merge", done);
  const close = useWrite("pulls.close", done);
  if (pull.state !== "open") return null;
  return (
    <>
      <button type="button" className="button primary" onClick={() => setAsking("merge")}>
        Merge
      </button>
      <button type="button" className="button" onClick={() => setAsking("close")}>
        Close
      </button>
      {asking === "merge" && (
        <Dialog
          title={`Merge #${number} into ${pull.base}?`}
          confirm="Merge"
          busy={merge.isPending}
          error={merge.error}
          onClose={done}
          onConfirm={() => merge.mutate({ project, number })}
        >
          <p>
            {pull.draft && "It is a draft and is made ready first. "}
            What follows {pull.base} is deployed, then measured again.
          </p>
        </Dialog>
      )}
      {asking === "close" && (
        <Dialog
          title={`Close #${number} without merging?`}
          confirm="Close it"
          danger
          busy={close.isPending}
          error={close.error}
          onClose={done}
          onConfirm={() => close.mutate({ project, number })}
        >
          <p>It is not opened again while the cause of its finding stays the same.</p>
        </Dialog>
      )}
    </>
  );
}

function Comments({ project, number, comments }: Ref & { comments: PullRequestComment[] }) {
  const [text, setText] = useState("");
  const comment = useWrite("pulls.comment", () => setText(""));
  return (
    <section aria-labelledby="comments" className="comments">
      <h2 id="comments">{comments.length === 0 ? "No comments yet" : plural(comments.length, "comment")}</h2>
      {comments.map((one) => (
        <article key={one.id} className="panel">
          <header>
            <h3>{one.author}</h3>
            <span className="aside">
              <Ago time={one.createdAt} />
            </span>
          </header>
          <div className="panel-body">
            <MarkdownText text={one.body} />
          </div>
        </article>
      ))}
      <form
        onSubmit={(event) => {
          event.preventDefault();
          comment.mutate({ project, number, body: text });
        }}
      >
        <textarea
          className="field"
          aria-label="Your comment"
          placeholder="Say something; Markdown is understood"
          value={text}
          maxLength={65_536}
          onChange={(event) => setText(event.target.value)}
        />
        {comment.error && <ErrorNotice error={comment.error} />}
        <div className="actions">
          <button type="submit" className="button" disabled={text.trim() === "" || comment.isPending}>
            {comment.isPending ? "Sending…" : "Comment"}
          </button>
        </div>
      </form>
    </section>
  );
}

export default function PullPage({ project, number }: Ref) {
  const { data, error, refetch } = useRead("pulls.get", { project, number }, { every: calmMs });
  const files = useMemo(() => fromUnified(data?.diff ?? ""), [data?.diff]);
  const crumbs = [
    { text: "Projects", to: "/projects" },
    { text: project, to: `/projects/${project}` },
    { text: "Pull requests", to: `/projects/${project}/pulls` },
    { text: `#${number}` },
  ];
  if (!data) {
    return (
      <Page title={`Pull request #${number}`} crumbs={crumbs}>
        <ProjectTabs project={project} />
        {error ? <ErrorNotice error={error} retry={() => void refetch()} /> : <Waiting />}
      </Page>
    );
  }
  const { pullRequest: pull, comments } = data;
  return (
    <Page
      title={pull.title}
      documentTitle={`#${number} ${pull.title}`}
      crumbs={crumbs}
      under={
        <>
          <span className={`state ${pullTone[pull.state]}`}>{pull.state}</span>
          {pull.draft && pull.state === "open" && <span>draft</span>}
          <span>
            <span className="mono">{pull.head}</span> → <span className="mono">{pull.base}</span>
          </span>
          {pull.mergeCommit && (
            <span>
              merged as <span className="mono">{commit(pull.mergeCommit)}</span>;{" "}
              <Link href={`/projects/${project}`}>see its deployment</Link>
            </span>
          )}
        </>
      }
      actions={<Actions project={project} number={number} pull={pull} />}
    >
      <div className="stack">
        {pull.touchedByOthers && pull.state === "open" && (
          <div className="notice warn">
            <p>Its branch holds commits that tsdev did not make: they are not covered by the proof.</p>
          </div>
        )}
        <section className="panel" aria-label="Description">
          <div className="panel-body description">
            <MarkdownText text={pull.body} />
          </div>
        </section>
        <DiffView files={files} title={<h2>Changes</h2>} />
        <Comments project={project} number={number} comments={comments} />
      </div>
    </Page>
  );
}
