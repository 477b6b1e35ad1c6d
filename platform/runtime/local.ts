// The local runtime: instances and router are processes of their own that outlive the control plane and are adopted by the next one.
import { accessSync, constants, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { TsdevError } from "../../sdk/errors.ts";
import { type GroupRecord, GroupRecords, serviceKey } from "./group-records.ts";
import { probeReadiness } from "./health-probe.ts";
import { inheritedEnvironment } from "./inherited-environment.ts";
import type { Instance } from "./instance.ts";
import { canceled, type Launch, LocalInstances } from "./local-instances.ts";
import { OutputTail } from "./output-tail.ts";
import { Restarts } from "./restarts.ts";
import { openRouter, type Router } from "./router/open-router.ts";
import type { RequestMetricsState } from "./router/request-metrics.ts";
import type { RoutingTable } from "./router/table.ts";
import type { InstanceGroup, InstanceStatus, OutputLine, Runtime, StartFailure } from "./runtime.ts";
import { Serial } from "./serial.ts";

export interface LocalRuntimeOptions {
  /** Folder for its state; two runtimes need two. */
  directory: string;
  /** Port of the router (default 3200; 0 takes any): the first free from it on, and the same again after a restart. */
  wantedPort?: number;
  /** Throw `port_taken` rather than start the router on another port than the wanted one (default false). */
  exactPort?: boolean;
  /** Address the router listens on (default 127.0.0.1). */
  host?: string;
  /** The Node that runs router and apps. */
  nodePath: string;
  log: (message: string) => void;
  /** How long an instance may take to become healthy (default 30 000 ms). */
  healthTimeoutMs?: number;
  /** How long an instance may listen on another port only before that is an error (default 10 000 ms). */
  wrongPortAfterMs?: number;
  /** How long a drain waits for requests in flight (default 30 000 ms). */
  drainMs?: number;
  /** Between SIGTERM and SIGKILL (default 10 000 ms). */
  graceMs?: number;
  /** An instance's output file is rotated beyond this size (default 50 MB). */
  maxOutputBytes?: number;
}

export interface LocalRuntime extends Runtime {
  /** Where requests for no app go: a port of 127.0.0.1; null while the control plane is away. Survives in the router. */
  setControlPlane(port: number | null): Promise<void>;
  /** How long requests took, as the router measured them; its groups are deployments. */
  requests(): Promise<RequestMetricsState>;
}

type StartResult = { ok: true } | ({ ok: false } & StartFailure);

const tendMs = 100;
const probeMs = 5000;
const rotateMs = 2000;
/** Failed probes in a row after which an instance counts as unhealthy. */
const probeFailures = 3;
/** After SIGTERM an app gets this long to say goodbye on its WebSockets before the router closes them. */
const cutMs = 3000;

/** Opens the runtime of a directory: adopts its router and instances, or starts a router; ends what a killed one left half done. */
export async function openLocalRuntime(options: LocalRuntimeOptions): Promise<LocalRuntime> {
  const directory = resolve(options.directory);
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    accessSync(directory, constants.W_OK);
  } catch (cause) {
    throw new TsdevError("data_directory_unwritable", {
      message: `${directory} cannot be written: ${(cause as Error).message}`,
      fix: "make it writable for this user or give another folder with `--data`",
      cause,
    });
  }
  const router = await openRouter({
    directory,
    wantedPort: options.wantedPort ?? 3200,
    exactPort: options.exactPort ?? false,
    host: options.host ?? "127.0.0.1",
    nodePath: options.nodePath,
    env: inheritedEnvironment(options.nodePath),
    log: options.log,
  });
  const runtime = new Local(directory, router, options, (await router.table()).controlPlane);
  await runtime.adopt();
  return runtime;
}

class Local implements LocalRuntime {
  readonly #router: Router;
  readonly #options: Required<LocalRuntimeOptions>;
  readonly #groups: GroupRecords;
  readonly #instances: LocalInstances;
  /** Operations on one service follow each other. */
  readonly #services = new Serial();
  readonly #tables = new Serial();
  #controlPlane: RoutingTable["controlPlane"];
  readonly #restarts: Restarts;
  readonly #failedProbes = new Map<string, number>();
  readonly #timers: NodeJS.Timeout[] = [];
  #tail: OutputTail | undefined;
  #closed = false;

  constructor(
    directory: string,
    router: Router,
    options: LocalRuntimeOptions,
    controlPlane: RoutingTable["controlPlane"],
  ) {
    this.#options = {
      wantedPort: 3200,
      exactPort: false,
      host: "127.0.0.1",
      healthTimeoutMs: 30_000,
      wrongPortAfterMs: 10_000,
      drainMs: 30_000,
      graceMs: 10_000,
      maxOutputBytes: 50_000_000,
      ...options,
    };
    this.#router = router;
    this.#controlPlane = controlPlane;
    this.#groups = new GroupRecords(join(directory, "groups"));
    this.#instances = new LocalInstances(join(directory, "instances"), this.#options);
    this.#restarts = new Restarts({
      ...{ groups: this.#groups, instances: this.#instances, log: this.#options.log },
      publish: () => this.#publish(),
      background: (work) => this.#background(work),
    });
  }

  get routerUrl(): string {
    return `http://localhost:${this.#router.port}`;
  }

  /** Takes over what a former control plane left: live and starting groups stay, the rest is ended. */
  async adopt(): Promise<void> {
    for (const instance of this.#instances.all()) {
      const record = this.#groups.get(instance.record.deploymentId);
      // Killed in the middle of a spawn, an end or a restart, or of no group: nothing will ever use it.
      const used = record?.state === "starting" || (record?.state === "live" && instance.record.healthy);
      const orphan = !used || instance.record.draining || !instance.isRunning();
      if (orphan && !instance.record.draining) instance.save({ draining: true });
    }
    await this.#publish();
    for (const record of this.#groups.all("stopping")) {
      this.#background(this.#services.run(serviceKey(record.group), () => this.#stopGroup(record)));
    }
    for (const instance of this.#instances.all()) {
      if (!instance.record.draining || this.#groups.get(instance.record.deploymentId)?.state === "stopping") continue;
      if (instance.members().length > 0) this.#background(this.#retire([instance]));
    }
    this.#every(tendMs, () => this.#restarts.tend());
    this.#every(probeMs, () => this.#probeAll());
    this.#every(rotateMs, () => this.#instances.rotate(this.#options.maxOutputBytes));
  }

  start(group: InstanceGroup, signal: AbortSignal): Promise<StartResult> {
    return this.#services.run(serviceKey(group), async () => {
      if (signal.aborted) return canceled;
      const record: GroupRecord = this.#groups.get(group.deploymentId) ?? { group, state: "starting", liveSince: 0 };
      this.#groups.save(record, { group });
      const result = await this.#grow(record, group.replicas, signal);
      if (!result.ok && record.state === "starting") await this.#stopGroup(record);
      else await this.#publish();
      return result;
    });
  }

  async switchTo(deploymentId: string): Promise<void> {
    const record = this.#known(deploymentId);
    await this.#services.run(serviceKey(record.group), async () => {
      if (this.#groups.get(deploymentId) !== record) throw this.#unknown(deploymentId);
      const healthy = this.#instances.serving(deploymentId).filter((instance) => instance.record.healthy);
      if (healthy.length === 0 && record.group.replicas > 0) {
        const lines = this.#instances.of(deploymentId).at(-1)?.lastLines(20) ?? [];
        throw new TsdevError("crashed", {
          message: ["no instance of the new version runs any more; its last lines:", ...lines].join("\n"),
          fix: "correct what ended it and deploy again",
        });
      }
      if (record.state !== "live") this.#groups.makeLive(record);
      await this.#publish();
      const others = this.#groups
        .all()
        .filter((other) => other !== record && serviceKey(other.group) === serviceKey(record.group));
      for (const other of others) this.#groups.save(other, { state: "stopping" });
      await Promise.all(others.map((other) => this.#stopGroup(other)));
    });
  }

  async scale(deploymentId: string, replicas: number, signal: AbortSignal): Promise<StartResult> {
    const record = this.#known(deploymentId);
    return this.#services.run(serviceKey(record.group), async () => {
      if (this.#groups.get(deploymentId) !== record) throw this.#unknown(deploymentId);
      if (replicas > record.group.replicas) {
        const result = await this.#grow(record, replicas, signal);
        if (result.ok) this.#groups.save(record, { group: { ...record.group, replicas } });
        await this.#publish();
        return result;
      }
      this.#groups.save(record, { group: { ...record.group, replicas } });
      await this.#restarts.end(deploymentId);
      // The youngest go, and before them those that are not healthy.
      const running = this.#instances.serving(deploymentId);
      running.sort(
        (a, b) =>
          Number(b.record.healthy) - Number(a.record.healthy) || a.record.startedAt.localeCompare(b.record.startedAt),
      );
      await this.#retire(running.slice(replicas));
      await this.#publish();
      return { ok: true };
    });
  }

  async stop(deploymentId: string): Promise<void> {
    const record = this.#groups.get(deploymentId);
    if (!record) return;
    await this.#services.run(serviceKey(record.group), () => this.#stopGroup(record));
  }

  async retain(deploymentIds: readonly string[]): Promise<void> {
    const others = this.#groups.all().filter((record) => !deploymentIds.includes(record.group.deploymentId));
    await Promise.all(others.map((record) => this.stop(record.group.deploymentId)));
  }

  async status(deploymentId?: string): Promise<InstanceStatus[]> {
    const instances = deploymentId === undefined ? this.#instances.all() : this.#instances.of(deploymentId);
    return instances
      .sort((a, b) => a.record.startedAt.localeCompare(b.record.startedAt))
      .map((instance) => {
        const { id, port, startedAt, restarts, draining, healthy, app, shell } = instance.record;
        const running = instance.isRunning();
        const state = !running
          ? "exited"
          : draining
            ? "draining"
            : !healthy
              ? "starting"
              : instance.answering
                ? "healthy"
                : "unhealthy";
        const pid = app?.pid ?? shell?.pid ?? 0;
        const exitCode = running ? null : instance.exitCode();
        return { id, deploymentId: instance.record.deploymentId, pid, port, state, startedAt, exitCode, restarts };
      });
  }

  async output(onLine: (line: OutputLine) => void | Promise<void>, signal: AbortSignal): Promise<void> {
    if (this.#tail) {
      throw new TsdevError("conflict", {
        message: "the output is being read already",
        fix: "read it once and hand the lines on: an acknowledgement is for all",
      });
    }
    this.#tail = new OutputTail({
      instances: () => this.#instances.all(),
      fileOf: (instance, stream) => this.#instances.fileOf(instance, stream),
      onFinished: (instance) => {
        // Still asked for while its group is there: status shows how it ended.
        if (!this.#groups.get(instance.record.deploymentId)) this.#instances.forget(instance);
      },
    });
    try {
      await this.#tail.run(onLine, signal);
    } finally {
      this.#tail = undefined;
    }
  }

  async setControlPlane(port: number | null): Promise<void> {
    this.#controlPlane = port === null ? null : { host: "127.0.0.1", port };
    await this.#publish();
  }

  requests(): Promise<RequestMetricsState> {
    return this.#router.requests();
  }

  async stopAll(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    for (const record of this.#groups.all()) this.#groups.save(record, { state: "stopping" });
    await this.#restarts.endAll();
    await Promise.all([
      ...this.#instances.all().map((instance) => this.#instances.end(instance, this.#options.graceMs)),
      this.#router.quit(),
    ]);
    for (const record of this.#groups.all()) this.#groups.remove(record);
    this.#tail?.poke();
    await this.close();
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const timer of this.#timers) clearInterval(timer);
    this.#router.close();
  }

  /** Starts as many as are missing; all or nothing. */
  async #grow(record: GroupRecord, replicas: number, signal: AbortSignal): Promise<StartResult> {
    const { deploymentId } = record.group;
    const resume = await this.#restarts.suspend(deploymentId);
    try {
      const there = this.#instances.serving(deploymentId);
      const failure = new AbortController();
      const either = AbortSignal.any([signal, failure.signal]);
      const started: Instance[] = [];
      let first: ({ ok: false } & StartFailure) | undefined;
      const note = (result: Launch) => {
        if (result.ok) started.push(result.instance);
        else {
          first ??= result;
          failure.abort();
        }
      };
      const launch = async () => note(await this.#instances.launch(record.group, 0, either));
      // Adopted while they were starting.
      const unready = there
        .filter((instance) => !instance.record.healthy)
        .map(async (instance) => {
          const result = await this.#instances.awaitHealthy(instance, record.group, either);
          if (result === "port_lost") await launch();
          else note(result);
        });
      const missing = Array.from({ length: Math.max(0, replicas - there.length) }, launch);
      await Promise.all([...unready, ...missing]);
      if (!first) return { ok: true };
      await Promise.all(started.map((instance) => this.#instances.end(instance, this.#options.graceMs)));
      return first;
    } finally {
      resume();
      this.#instances.prune();
    }
  }

  /** Takes instances out of the router, waits for their requests, and ends them. */
  async #retire(instances: Instance[]): Promise<void> {
    if (instances.length === 0) return;
    for (const instance of instances) instance.save({ draining: true });
    const ids = instances.map((instance) => instance.id);
    try {
      await this.#publish();
      if (!(await this.#router.drain(ids, this.#options.drainMs))) {
        this.#options.log(
          `requests still in flight after ${this.#options.drainMs / 1000} s: ${ids.join(", ")} end with them`,
        );
      }
    } catch (error) {
      if (this.#closed) return;
      this.#options.log(`drain of ${ids.join(", ")}: ${(error as Error).message}`);
    }
    // SIGTERM comes before the cut: an app can then still close its WebSockets with a code.
    const cut = setTimeout(() => this.#router.cut(ids).catch(() => {}), cutMs);
    await Promise.all(instances.map((instance) => this.#instances.end(instance, this.#options.graceMs)));
    clearTimeout(cut);
    this.#tail?.poke();
    this.#instances.prune();
  }

  async #stopGroup(record: GroupRecord): Promise<void> {
    const { deploymentId } = record.group;
    if (this.#groups.get(deploymentId) !== record) return;
    if (record.state !== "stopping") this.#groups.save(record, { state: "stopping" });
    await this.#restarts.end(deploymentId);
    await this.#retire(this.#instances.of(deploymentId).filter((instance) => instance.members().length > 0));
    if (this.#closed) return;
    this.#groups.remove(record);
    this.#restarts.forget(deploymentId);
    await this.#publish();
  }

  /** Gives the router the table that follows from the records. */
  #publish(): Promise<void> {
    return this.#tables.run("table", () => {
      const table: RoutingTable = { controlPlane: this.#controlPlane, hosts: {}, groups: {} };
      for (const { group } of this.#groups.all("live")) {
        const healthy = this.#instances.serving(group.deploymentId).filter((instance) => instance.record.healthy);
        const answering = healthy.filter((instance) => instance.answering);
        const targets = (answering.length > 0 ? answering : healthy).map(({ id, record }) => ({
          ...{ id, host: record.host, port: record.port },
        }));
        table.groups[group.deploymentId] = { expected: group.replicas, targets };
        for (const host of group.hosts) table.hosts[host.toLowerCase()] = group.deploymentId;
      }
      return this.#router.set(table);
    });
  }

  /** Asks the live instances whether they still answer: one that hangs gets no requests while another can take them. */
  async #probeAll(): Promise<void> {
    let changed = false;
    const live = this.#groups.all("live").flatMap(({ group }) =>
      this.#instances
        .serving(group.deploymentId)
        .filter((instance) => instance.record.healthy)
        .map((instance) => ({ instance, health: group.health })),
    );
    await Promise.all(
      live.map(async ({ instance, health }) => {
        const { host, port } = instance.record;
        const { ready } = await probeReadiness({ host, port, health }, probeMs);
        const failures = ready ? 0 : (this.#failedProbes.get(instance.id) ?? 0) + 1;
        this.#failedProbes.set(instance.id, failures);
        const answering = failures < probeFailures;
        if (answering === instance.answering) return;
        instance.answering = answering;
        changed = true;
      }),
    );
    if (changed && !this.#closed) await this.#publish();
  }

  #known(deploymentId: string): GroupRecord {
    const record = this.#groups.get(deploymentId);
    if (!record) throw this.#unknown(deploymentId);
    return record;
  }

  #unknown(deploymentId: string): TsdevError {
    return new TsdevError("not_found", { message: `deployment ${deploymentId} does not run`, fix: "start it first" });
  }

  /** Repeats a task that never overlaps itself and never keeps the process alive. */
  #every(periodMs: number, task: () => Promise<void>): void {
    let running = false;
    const timer = setInterval(() => {
      if (running || this.#closed) return;
      running = true;
      this.#background(task().finally(() => (running = false)));
    }, periodMs);
    timer.unref();
    this.#timers.push(timer);
  }

  #background(work: Promise<unknown>): void {
    work.catch((error: Error) => {
      if (!this.#closed) this.#options.log(`runtime: ${error.message}`);
    });
  }
}
