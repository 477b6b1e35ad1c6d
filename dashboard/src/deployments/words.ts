// Words: how the states and causes of a deployment are called and marked.
import type { Deployment } from "../api/types.ts";

export const statusTone: Record<Deployment["status"], string> = {
  queued: "accent busy",
  building: "accent busy",
  starting: "accent busy",
  live: "good",
  superseded: "",
  failed: "bad",
  canceled: "",
};

export const causeText: Record<Deployment["cause"], string> = {
  push: "push",
  merge: "merge",
  rollback: "rollback",
  scale: "scale",
  manual: "by hand",
};

export const isMoving = (deployment: Pick<Deployment, "status">) =>
  deployment.status === "queued" || deployment.status === "building" || deployment.status === "starting";
