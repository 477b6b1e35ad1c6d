// Pull requests of a project, newest first.
import { Link } from "wouter";
import { calmMs, useRead } from "../api/hooks.ts";
import type { PullRequest } from "../api/types.ts";
import { Empty, ErrorNotice } from "../design/notice.tsx";
import { Page, ProjectTabs, Waiting } from "../frame/frame.tsx";

export const pullTone: Record<PullRequest["state"], string> = { open: "accent", merged: "good", closed: "" };

export default function PullsPage({ project }: { project: string }) {
  const { data, error, refetch } = useRead("pulls.list", { project }, { every: calmMs });
  return (
    <Page
      title={project}
      documentTitle={`Pull requests of ${project}`}
      crumbs={[{ text: "Projects", to: "/projects" }]}
    >
      <ProjectTabs project={project} />
      {error ? (
        <ErrorNotice error={error} retry={() => void refetch()} />
      ) : !data ? (
        <Waiting />
      ) : data.pullRequests.length === 0 ? (
        <Empty title="No pull request yet">
          A finding whose patch is proven by replay is offered as one. Nothing is opened without a proof.
        </Empty>
      ) : (
        <div className="panel scroll-x">
          <table className="rows">
            <thead>
              <tr>
                <th scope="col" className="num">
                  #
                </th>
                <th scope="col">Title</th>
                <th scope="col">Branch</th>
                <th scope="col">State</th>
              </tr>
            </thead>
            <tbody>
              {data.pullRequests.map((pull) => (
                <tr key={pull.number}>
                  <td className="num faint">{pull.number}</td>
                  <td className="wide">
                    <Link href={`/projects/${project}/pulls/${pull.number}`}>{pull.title}</Link>
                  </td>
                  <td className="mono small">{pull.head}</td>
                  <td className="nowrap">
                    <span className={`state ${pullTone[pull.state]}`}>
                      {pull.state === "open" && pull.draft ? "draft" : pull.state}
                    </span>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Page>
  );
}
