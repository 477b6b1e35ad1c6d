// Projects page: every project with its environments and where they answer.
import { Link } from "wouter";
import { calmMs, useRead } from "../api/hooks.ts";
import { Empty, ErrorNotice } from "../design/notice.tsx";
import { Ago } from "../design/time.tsx";
import { Page, Waiting } from "../frame/frame.tsx";

export default function ProjectsPage() {
  const { data, error, refetch } = useRead("projects.list", {}, { every: calmMs });
  const projects = data?.projects ?? [];
  return (
    <Page title="Projects">
      {error ? (
        <ErrorNotice error={error} retry={() => void refetch()} />
      ) : !data ? (
        <Waiting />
      ) : projects.length === 0 ? (
        <Empty title="No project yet" command="cd my-app && npx tsdev deploy">
          The first deployment of a folder makes its project: any Node app with a package.json and a start script.
        </Empty>
      ) : (
        <div className="panel scroll-x">
          <table className="rows">
            <thead>
              <tr>
                <th scope="col">Project</th>
                <th scope="col">Environments</th>
                <th scope="col">Branch</th>
                <th scope="col" className="num">
                  Made
                </th>
              </tr>
            </thead>
            <tbody>
              {projects.map((project) => (
                <tr key={project.id}>
                  <td className="nowrap">
                    <Link href={`/projects/${project.name}`}>
                      <strong>{project.name}</strong>
                    </Link>
                  </td>
                  <td className="wide">
                    {project.environments.map((environment) => (
                      <p key={environment.name}>
                        <span className={`state ${environment.liveDeployment ? "good" : ""}`}>{environment.name}</span>{" "}
                        {environment.liveDeployment ? (
                          <a className="small" href={environment.url}>
                            {environment.url.replace(/^https?:\/\//, "")}
                          </a>
                        ) : (
                          <span className="faint small">nothing live</span>
                        )}
                      </p>
                    ))}
                  </td>
                  <td className="mono nowrap">{project.defaultBranch}</td>
                  <td className="num">
                    <Ago time={project.createdAt} />
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
