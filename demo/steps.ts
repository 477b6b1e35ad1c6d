// Steps of the demo, each safe to repeat: it looks at what the platform already has and goes on from there.
import { once } from "node:events";
import { join } from "node:path";
import type { Suggestion } from "../agents/suggestions/suggestion.ts";
import type { Rejection } from "../analyzers/finding.ts";
import { Client } from "../cli/client.ts";
import { pushFolder } from "../cli/git-push.ts";
import { type Partners, startPartners } from "../examples/shop/partners/partners.ts";
import { driveTraffic, type TrafficResult } from "../examples/shop/traffic/traffic.ts";
import type { Deployment } from "../platform/deployments/deployment.ts";
import { TsdevError } from "../sdk/errors.ts";
import { PlatformProcess } from "./platform-process.ts";
import { type Progress, readProgress, writeProgress } from "./progress-file.ts";
import { shopRepository } from "./shop-repository.ts";

export const projectName = "demo";
const where = { project: projectName, environment: "production" };
const partnersSeed = 7;
const traffic = { seed: 7, seconds: 20, concurrency: 8 };
const trafficAfterMerge = { seed: 11, seconds: 10, concurrency: 8 };
/** The detector whose pull request the demo merges. */
const mergedDetector = "n-plus-one";
const pollMs = 200;
/** How long the end of a process may take to be noticed. */
const noticeMs = 3000;
/** Proofs of three suggestions take one and a half minutes on a quiet machine. */
const offerLimitMs = 20 * 60_000;
/** Spans are sent in batches; as long as new ones arrive within this time, more are on their way. */
const quietMs = 1500;

export type Tell = (message: string) => void;

interface Inbox {
  suggestions: Suggestion[];
  rejections: Rejection[];
  inWork: number;
}

export class Demo {
  readonly data: string;
  readonly #automatic: boolean;
  progress!: Progress;
  #starting: Promise<PlatformProcess> | null = null;
  #platform: PlatformProcess | null = null;
  #client!: Client;
  #partners: Partners | null = null;

  /** `automatic`: whether tsdev opens pull requests by itself, as the demo wants, or waits for a person. */
  constructor(data: string, options: { automatic: boolean } = { automatic: true }) {
    this.data = data;
    this.#automatic = options.automatic;
  }

  get platform(): PlatformProcess {
    if (!this.#platform)
      throw new TsdevError("internal", { message: "the platform is not started", fix: "call startPlatform first" });
    return this.#platform;
  }

  async startPlatform(port: number | undefined): Promise<void> {
    this.#starting = PlatformProcess.start(this.data, port);
    this.#platform = await this.#starting;
    this.#client = new Client(this.platform.address);
    this.progress = await readProgress(this.data);
    await writeProgress(this.data, this.progress);
  }

  /** The partner services stand for the outside world: small servers of the example, on a port the app is told. */
  async startPartners(): Promise<void> {
    this.#partners = await startPartners({ port: this.progress.partnersPort ?? 0, seed: partnersSeed });
    this.progress.partnersPort = Number(new URL(this.#partners.url).port);
    await writeProgress(this.data, this.progress);
  }

  /** Pushes the shop and waits until it is live; answers its first deployment. */
  async deploy(tell: Tell): Promise<Deployment> {
    const { project } = await this.#client.call("projects.create", {
      name: projectName,
      settings: { pullRequests: { automatic: this.#automatic, maxOpen: 5, perHour: 20 } },
    });
    await this.#client.call("variables.set", {
      ...where,
      variables: { PARTNERS_URL: this.#partners?.url ?? "" },
      secret: false,
    });
    const folder = join(this.data, "shop");
    const commit = await shopRepository(folder);
    const known = (await this.#deployments()).find((one) => one.commit === commit && one.cause === "push");
    if (!known) {
      tell("git push");
      await pushFolder(folder, project.git, "main", this.platform.address);
    }
    return this.#waitFor((one) => one.commit === commit && one.cause === "push", tell);
  }

  /** Sends a deployment its traffic, once, and waits until its spans have arrived. */
  async drive(deployment: Deployment, tell: Tell): Promise<void> {
    if (this.progress.driven.includes(deployment.id)) return;
    const first = this.progress.driven.length === 0;
    const result: TrafficResult = await driveTraffic({
      url: deployment.url,
      ...(first ? traffic : trafficAfterMerge),
      signal: this.platform.died,
      onProgress: (soFar) => tell(`${soFar.requests} requests, ${soFar.healed} tried again and healed`),
    });
    this.platform.died.throwIfAborted();
    let before = -1;
    for (let now = await this.spans(); now !== before; now = await this.spans()) {
      tell(`${now} spans`);
      before = now;
      await this.#pause(quietMs);
    }
    this.progress.driven.push(deployment.id);
    this.progress.requests += result.requests;
    await writeProgress(this.data, this.progress);
  }

  async spans(): Promise<number> {
    const { spans } = await this.#client.call("traces.count", where);
    return spans;
  }

  /** Runs the detectors over a deployment's whole traffic, then waits until every suggestion is offered, or it is said why not. */
  async suggest(deployment: Deployment, tell: Tell): Promise<Inbox> {
    await this.#analyzeOnce(deployment);
    const deadline = Date.now() + offerLimitMs;
    const watching = new AbortController();
    void this.#watch(tell, watching.signal);
    try {
      let quiet = 0;
      for (;;) {
        const inbox = await this.#inbox();
        const undecided = inbox.suggestions.filter((one) => one.state === "open" && !one.declined && !isRefused(one));
        if (undecided.length === 0 && inbox.inWork === 0) return inbox;
        // a job that failed for good is asked for again once nothing is in work any more
        quiet = inbox.inWork === 0 ? quiet + 1 : 0;
        if (quiet * pollMs > 5000) {
          await this.#client.call("suggestions.analyze", where);
          quiet = 0;
        }
        if (Date.now() > deadline) throw tooLong("the suggestions are not offered");
        await this.#pause(pollMs);
      }
    } finally {
      watching.abort();
    }
  }

  /** Merges the pull request of the N+1 and waits until the merge commit is live. */
  async merge(tell: Tell): Promise<Deployment | null> {
    const { suggestions } = await this.#inbox();
    const chosen = suggestions.find((one) => one.detector === mergedDetector && one.pullRequest);
    if (!chosen?.pullRequest) return null;
    if (chosen.state === "pull-request") {
      tell(`merging #${chosen.pullRequest.number}`);
      await this.#client.call("pulls.merge", { project: projectName, number: chosen.pullRequest.number });
    }
    return this.#waitFor((one) => one.cause === "merge", tell);
  }

  /** Measures again on the new deployment; answers the merged suggestion with its verdict. */
  async judge(deployment: Deployment, tell: Tell): Promise<Suggestion | undefined> {
    const deadline = Date.now() + offerLimitMs;
    tell("the same query on the new deployment");
    await this.#analyzeOnce(deployment);
    for (;;) {
      const { suggestions, inWork } = await this.#inbox();
      const chosen = suggestions.find((one) => one.detector === mergedDetector && one.pullRequest?.state === "merged");
      if (!chosen || chosen.verdict) return chosen;
      if (inWork === 0) await this.#client.call("suggestions.analyze", where);
      if (Date.now() > deadline) throw tooLong("there is no verdict");
      await this.#pause(pollMs);
    }
  }

  deployments(): Promise<Deployment[]> {
    return this.#deployments();
  }

  async pullRequests(): Promise<{ number: number; branch: string; state: string; comments: number }[]> {
    const project = { project: projectName };
    const { pullRequests } = await this.#client.call("pulls.list", project);
    return Promise.all(
      pullRequests.map(async ({ number, head, state }) => {
        const { comments } = await this.#client.call("pulls.get", { ...project, number });
        return { number, branch: head, state, comments: comments.length };
      }),
    );
  }

  /** Why something failed: the control plane's end, where that is the reason. */
  async reasonOf(thrown: unknown): Promise<unknown> {
    const died = this.#platform?.died;
    if (!died || TsdevError.from(thrown).code !== "unavailable") return thrown;
    if (!died.aborted)
      await Promise.race([once(died, "abort"), new Promise((resolve) => setTimeout(resolve, noticeMs))]);
    return died.aborted ? died.reason : thrown;
  }

  inbox(): Promise<Inbox> {
    return this.#inbox();
  }

  async loginLink(): Promise<string> {
    return (await this.#client.call("identity.login", {})).url;
  }

  async stop(): Promise<void> {
    // also one that is only starting when the demo is interrupted
    const platform = await this.#starting?.catch(() => null);
    await platform?.stopAll();
    await this.#partners?.close();
  }

  /** Also where the platform's own regular look came first: it may have seen half of the traffic. */
  async #analyzeOnce(deployment: Deployment): Promise<void> {
    if (this.progress.analyzed.includes(deployment.id) || deployment.status === "superseded") return;
    await this.#client.call("suggestions.analyze", where);
    this.progress.analyzed.push(deployment.id);
    await writeProgress(this.data, this.progress);
  }

  async #inbox(): Promise<Inbox> {
    return this.#client.call("suggestions.list", where);
  }

  async #deployments(): Promise<Deployment[]> {
    return (await this.#client.call("deployments.list", { ...where, limit: 100 })).deployments;
  }

  async #waitFor(matches: (deployment: Deployment) => boolean, tell: Tell): Promise<Deployment> {
    for (;;) {
      const found = (await this.#deployments()).find(matches);
      if (found) {
        const progress = (line: string) => tell(line);
        const settled = await this.#client.call("deployments.wait", { deployment: found.id }, { progress });
        if (settled.status === "live" || settled.status === "superseded") return settled;
        throw new TsdevError(
          settled.reason?.code ?? "internal",
          settled.reason ?? { message: `the deployment is ${settled.status}`, fix: "look at its build log" },
        );
      }
      await this.#pause(pollMs);
    }
  }

  async #watch(tell: Tell, signal: AbortSignal): Promise<void> {
    try {
      for await (const event of this.#client.stream("suggestions.watch", where, signal)) tell(event.message);
    } catch {
      // only a live line for people; what counts is asked for by polling
    }
  }

  async #pause(ms: number): Promise<void> {
    this.platform.died.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, ms));
    this.platform.died.throwIfAborted();
  }
}

const tooLong = (what: string) =>
  new TsdevError("timeout", {
    message: `${what} after 20 minutes`,
    fix: "look at control-plane.log in the data directory, then run the same command again",
  });

/** Proven not to be worth or not safe to open. */
function isRefused(suggestion: Suggestion): boolean {
  return suggestion.proof !== null && !(suggestion.proof.equal && suggestion.proof.better);
}
