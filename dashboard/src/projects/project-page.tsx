// Project page: each environment of a project, and where to push to.
import { calmMs, useRead } from "../api/hooks.ts";
import { ErrorNotice } from "../design/notice.tsx";
import { Page, ProjectTabs, Waiting } from "../frame/frame.tsx";
import { EnvironmentPanel } from "./environment-panel.tsx";
import "./project.css";

export default function ProjectPage({ name }: { name: string }) {
  const { data: project, error, refetch } = useRead("projects.get", { project: name }, { every: calmMs });
  return (
    <Page
      title={name}
      crumbs={[{ text: "Projects", to: "/projects" }]}
      under={
        project && (
          <span>
            push to <span className="mono">{project.git}</span>
          </span>
        )
      }
    >
      <ProjectTabs project={name} />
      {error ? (
        <ErrorNotice error={error} retry={() => void refetch()} />
      ) : !project ? (
        <Waiting />
      ) : (
        <div className="stack">
          {project.environments.map((environment) => (
            <EnvironmentPanel key={environment.name} project={name} environment={environment} />
          ))}
        </div>
      )}
    </Page>
  );
}
