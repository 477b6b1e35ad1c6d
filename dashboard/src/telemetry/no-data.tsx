// No data: what stands where nothing has arrived, and the way to get it in.
import type { ReactNode } from "react";
import { Link } from "wouter";
import { Empty } from "../design/notice.tsx";

export function NoData({ project, title, children }: { project: string; title: string; children: ReactNode }) {
  return (
    <Empty title={title} command={`npx tsdev otlp --project ${project}`}>
      {children} Apps that are deployed here send by themselves; any other app with OpenTelemetry does it with the
      variables that this prints. <Link href={`/projects/${project}/telemetry#send`}>How to send telemetry</Link>
    </Empty>
  );
}
