// App: which page stands at which address; pages with heavy parts are loaded when they are first opened.
import { lazy, Suspense } from "react";
import { Redirect, Route, Switch, useLocation } from "wouter";
import { useSignedOut } from "./api/session.ts";
import { Empty } from "./design/notice.tsx";
import { ErrorBoundary } from "./frame/error-boundary.tsx";
import { Frame, Page, Waiting } from "./frame/frame.tsx";
import { InboxPage } from "./inbox/inbox-page.tsx";
import { LoginPage, SignInPage } from "./login/login-page.tsx";

const SuggestionPage = lazy(() => import("./suggestions/suggestion-page.tsx"));
const ProjectsPage = lazy(() => import("./projects/projects-page.tsx"));
const ProjectPage = lazy(() => import("./projects/project-page.tsx"));
const DeploymentPage = lazy(() => import("./deployments/deployment-page.tsx"));
const PullsPage = lazy(() => import("./pulls/pulls-page.tsx"));
const PullPage = lazy(() => import("./pulls/pull-page.tsx"));
const TracesPage = lazy(() => import("./traces/traces-page.tsx"));
const TracePage = lazy(() => import("./traces/trace-page.tsx"));
const LogsPage = lazy(() => import("./logs/logs-page.tsx"));
const OperationsPage = lazy(() => import("./operations/operations-page.tsx"));
const MetricsPage = lazy(() => import("./metrics/metrics-page.tsx"));
const MapPage = lazy(() => import("./map/map-page.tsx"));
const TelemetryPage = lazy(() => import("./settings/telemetry-page.tsx"));

function Pages() {
  const [location] = useLocation();
  const signedOut = useSignedOut();
  if (location === "/login") return <LoginPage />;
  if (signedOut) return <SignInPage />;
  return (
    <Switch>
      <Route path="/">
        <Redirect to="/inbox" replace />
      </Route>
      <Route path="/inbox" component={InboxPage} />
      <Route path="/suggestions/:id">{({ id }) => <SuggestionPage key={id} id={id} />}</Route>
      <Route path="/projects" component={ProjectsPage} />
      <Route path="/projects/:project">{({ project }) => <ProjectPage key={project} name={project} />}</Route>
      <Route path="/projects/:project/pulls">{({ project }) => <PullsPage project={project} />}</Route>
      <Route path="/projects/:project/pulls/:number">
        {({ project, number }) => <PullPage key={`${project}/${number}`} project={project} number={Number(number)} />}
      </Route>
      <Route path="/projects/:project/traces">{({ project }) => <TracesPage key={project} project={project} />}</Route>
      <Route path="/projects/:project/logs">{({ project }) => <LogsPage key={project} project={project} />}</Route>
      <Route path="/projects/:project/operations">
        {({ project }) => <OperationsPage key={project} project={project} />}
      </Route>
      <Route path="/projects/:project/metrics">
        {({ project }) => <MetricsPage key={project} project={project} />}
      </Route>
      <Route path="/projects/:project/map">{({ project }) => <MapPage key={project} project={project} />}</Route>
      <Route path="/projects/:project/telemetry">
        {({ project }) => <TelemetryPage key={project} project={project} />}
      </Route>
      <Route path="/deployments/:id">{({ id }) => <DeploymentPage key={id} id={id} />}</Route>
      <Route path="/traces/:id">{({ id }) => <TracePage key={id} id={id} />}</Route>
      <Route>
        <Page title="There is no such page">
          <Empty title={location}>
            The address may be mistyped, or what it showed is gone. The inbox has everything.
          </Empty>
        </Page>
      </Route>
    </Switch>
  );
}

export function App() {
  const [location] = useLocation();
  return (
    <Frame>
      <ErrorBoundary key={location}>
        <Suspense fallback={<Waiting />}>
          <Pages />
        </Suspense>
      </ErrorBoundary>
    </Frame>
  );
}
