// The routing table: which host goes to which instances, and where the control plane is.

/** One instance behind the router. */
export interface Target {
  id: string;
  host: string;
  port: number;
}

export interface RoutingTable {
  /** The control plane's address; null while there is none. */
  controlPlane: { host: string; port: number } | null;
  /** Host name (lower case, no port) to group. */
  hosts: Record<string, string>;
  /** Group to its instances; `expected` 0 means scaled to nothing, more than the targets means that some are being restarted. */
  groups: Record<string, { expected: number; targets: Target[] }>;
}

export const emptyTable: RoutingTable = { controlPlane: null, hosts: {}, groups: {} };

export type Route = { to: "group"; group: string } | { to: "control-plane" } | { to: "nowhere"; host: string };

/** The name in a Host header: lower case, without port and trailing dot. */
export function hostName(header: string | undefined): string {
  const value = (header ?? "").trim().toLowerCase();
  const name = value.startsWith("[") ? value.slice(0, value.indexOf("]") + 1) : value.replace(/:\d*$/, "");
  return name.endsWith(".") ? name.slice(0, -1) : name;
}

/** Exact hosts go to their group, other names under `.localhost` nowhere, everything else to the control plane. */
export function route(table: RoutingTable, header: string | undefined): Route {
  const host = hostName(header);
  const group = Object.hasOwn(table.hosts, host) ? table.hosts[host] : undefined;
  if (group !== undefined && Object.hasOwn(table.groups, group)) return { to: "group", group };
  if (group !== undefined || host.endsWith(".localhost")) return { to: "nowhere", host };
  return { to: "control-plane" };
}
