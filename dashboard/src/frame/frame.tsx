// Frame: the bar on top of every page, the page's column with its title, and the tabs of a project.
import type { ReactNode } from "react";
import { Link, useLocation, useSearchParams } from "wouter";
import icon from "../design/icon.svg";
import "./frame.css";

function Tab(props: { to: string; children: ReactNode; within?: string[]; suffix?: string }) {
  const { to, children, within, suffix = "" } = props;
  const [location] = useLocation();
  const here = location === to || (within ?? []).some((prefix) => location.startsWith(prefix));
  return (
    <Link href={to + suffix} aria-current={here ? "page" : undefined}>
      {children}
    </Link>
  );
}

export function Frame({ children }: { children: ReactNode }) {
  return (
    <>
      <a className="skip" href="#content">
        Skip to the content
      </a>
      <header className="bar">
        <div className="bar-inner">
          <Link className="wordmark" href="/inbox">
            <img src={icon} alt="" />
            tsdev
          </Link>
          <nav aria-label="Main">
            <Tab to="/inbox" within={["/suggestions/"]}>
              Inbox
            </Tab>
            <Tab to="/projects" within={["/projects/", "/deployments/", "/traces/"]}>
              Projects
            </Tab>
          </nav>
        </div>
      </header>
      {children}
    </>
  );
}

export interface Crumb {
  text: string;
  to?: string;
}

export function Page(props: {
  title: string;
  /** In the browser's title bar, where it differs. */
  documentTitle?: string;
  crumbs?: Crumb[];
  under?: ReactNode;
  actions?: ReactNode;
  wide?: boolean;
  children: ReactNode;
}) {
  const { title, crumbs = [] } = props;
  return (
    <main id="content" className={props.wide ? "page wide" : "page"} tabIndex={-1}>
      <title>{`${props.documentTitle ?? title} · tsdev`}</title>
      <div className="page-head">
        <div className="titles">
          {crumbs.length > 0 && (
            <nav className="crumbs" aria-label="Where you are">
              {crumbs.map((crumb, index) => (
                <span key={crumb.text}>
                  {index > 0 && <span aria-hidden="true">/&nbsp; </span>}
                  {crumb.to ? <Link href={crumb.to}>{crumb.text}</Link> : crumb.text}
                </span>
              ))}
            </nav>
          )}
          <h1>{title}</h1>
          {props.under && <div className="under">{props.under}</div>}
        </div>
        {props.actions && <div className="actions">{props.actions}</div>}
      </div>
      {props.children}
    </main>
  );
}

export function ProjectTabs({ project }: { project: string }) {
  const base = `/projects/${project}`;
  const [query] = useSearchParams();
  // who looks at one environment goes on looking at it
  const kept = new URLSearchParams([...query].filter(([name]) => name === "environment"));
  const suffix = kept.size > 0 ? `?${kept}` : "";
  return (
    <nav className="tabs" aria-label={`Project ${project}`}>
      <Tab to={base}>Overview</Tab>
      <Tab to={`${base}/pulls`} within={[`${base}/pulls/`]}>
        Pull requests
      </Tab>
      {telemetryTabs.map(([path, text]) => (
        <Tab key={path} to={`${base}/${path}`} suffix={suffix}>
          {text}
        </Tab>
      ))}
    </nav>
  );
}

const telemetryTabs = [
  ["operations", "Operations"],
  ["traces", "Traces"],
  ["logs", "Logs"],
  ["metrics", "Metrics"],
  ["map", "Service map"],
  ["telemetry", "Telemetry"],
] as const;

export const Waiting = () => (
  <p className="waiting" role="status">
    One moment…
  </p>
);
