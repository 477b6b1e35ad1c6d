// dev: runs the app in a folder on this machine; an edit of its source is live at once.
import { relative } from "node:path";
import type { FromApp } from "../../sdk/dev/messages.ts";
import { TsdevError } from "../../sdk/errors.ts";
import { Client, findPlatform } from "../client.ts";
import { type DevApp, readApp } from "../dev/app.ts";
import { AppProcess } from "../dev/app-process.ts";
import { Port } from "../dev/port.ts";
import { bold, colored, dim, say } from "../output.ts";

const platformLimitMs = 2_000;

export async function dev(dir: string, flags: { port?: number; json: boolean; data?: string }): Promise<void> {
  const app = await readApp(dir);
  needDatabase(app);
  const asked = flags.port ?? numberOf(process.env.PORT ?? app.variables.PORT);
  const port = await Port.hold(asked);
  const url = `http://localhost:${port.number}`;
  const traces = await tracesTo(app, flags.data);
  const show = flags.json ? showJson : showText;
  let ready = false;
  const read = async () => ({ app: await readApp(dir), variables: traces?.variables ?? {} });
  const child = new AppProcess(app.folder, read, port, {
    message: (message) => {
      if (message.kind === "ready" && !ready) {
        ready = true;
        if (flags.json)
          process.stdout.write(`${JSON.stringify({ url, pid: child.pid, traces: traces?.url ?? null })}\n`);
        else say(`${bold(app.name)} on ${url}${traces ? dim(`, traces on ${traces.url}`) : ""}`);
      }
      show(message, { folder: app.folder, port: port.number });
    },
    ended: (how, waits) => {
      if (flags.json) process.stdout.write(`${JSON.stringify({ kind: "ended", how, waits })}\n`);
      else
        say(
          colored(
            "red",
            `the app ended (${how}); ${waits ? "it is started after the next edit" : "starting it again"}`,
          ),
        );
    },
  });
  const signaled = new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => resolve());
  });
  try {
    await child.start();
    await signaled;
  } finally {
    await child.stop();
    port.close();
  }
}

function showJson(message: FromApp): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

function showText(message: FromApp, { folder, port }: { folder: string; port: number }): void {
  if (message.kind === "live") {
    const files = message.changed.map((path) => relative(folder, path)).join(", ");
    if (files !== "") {
      say(`${colored("green", "live")} ${files} ${dim(`${message.ms.toFixed(0)} ms, ${message.modules} modules`)}`);
    }
    const others = message.ports.filter((one) => one !== port);
    if (!message.ports.includes(port) && others.length > 0) {
      say(colored("yellow", `the app listens on ${others.join(", ")} and not on PORT (${port})`));
    }
  } else if (message.kind === "broken") {
    say(
      `${colored("red", `not loaded ${message.place ?? ""}`)}\n${message.detail}\n${dim("the code before it answers")}`,
    );
  } else if (message.kind === "restart") say(dim(`starting again: ${message.reason}`));
}

function needDatabase(app: DevApp): void {
  if (app.config.database === undefined || process.env.DATABASE_URL || app.variables.DATABASE_URL) return;
  throw new TsdevError("invalid_config", {
    message: `"${app.name}" asks for a Postgres database, and DATABASE_URL is not set`,
    fix: "put DATABASE_URL=postgres://USER:PASSWORD@localhost:5432/NAME into .env in its folder",
    path: "DATABASE_URL",
  });
}

/** Where spans go when a platform runs on this machine; a development environment of the app's project. */
async function tracesTo(
  app: DevApp,
  data: string | undefined,
): Promise<{ url: string; variables: Record<string, string> } | null> {
  if (app.config.trace === false || process.env.OTEL_EXPORTER_OTLP_ENDPOINT) return null;
  const where = { project: app.name, environment: "development" };
  const asked = async () => {
    const client = new Client(await findPlatform(data));
    await client.call("projects.create", { name: where.project });
    const { token } = await client.call("identity.ingestToken", where);
    const url = client.address.url.replace("//localhost:", "//127.0.0.1:");
    return {
      url: client.address.url,
      variables: {
        OTEL_SERVICE_NAME: where.project,
        OTEL_EXPORTER_OTLP_ENDPOINT: url,
        OTEL_EXPORTER_OTLP_HEADERS: `authorization=Bearer ${token}`,
        TSDEV_PROJECT: where.project,
      },
    };
  };
  const late = new Promise<null>((resolve) => setTimeout(() => resolve(null), platformLimitMs).unref());
  // Without a platform there are no traces; the app runs all the same.
  return Promise.race([asked().catch(() => null), late]);
}

function numberOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,5}$/.test(text) ? Number(text) : undefined;
}
