// The command line: every command, its flags and help; exit codes 0 done, 1 the work failed, 2 used wrongly.
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { check } from "./commands/check.ts";
import { deploy } from "./commands/deploy.ts";
import { dev } from "./commands/dev.ts";
import { graph } from "./commands/graph.ts";
import { init } from "./commands/init.ts";
import { integrate } from "./commands/integrate.ts";
import { logs } from "./commands/logs.ts";
import { mcp } from "./commands/mcp.ts";
import { metrics } from "./commands/metrics.ts";
import { analyze, suggest } from "./commands/offline.ts";
import { deployments, openDashboard, rollback, scale, variables } from "./commands/operate.ts";
import { operations } from "./commands/operations.ts";
import { otlp } from "./commands/otlp.ts";
import { serve, stop } from "./commands/serve.ts";
import { agentClients, setupAgent } from "./commands/setup-agent.ts";
import { sql } from "./commands/sql.ts";
import { suggestions } from "./commands/suggestions.ts";
import { traces } from "./commands/traces.ts";
import { fail } from "./output.ts";
import manifest from "./package.json" with { type: "json" };

const wrongUse = 2;

function several(text: string, before: string[]): string[] {
  return [...before, text];
}

function whole(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < least || value > most) {
      throw new InvalidArgumentError(`use a whole number from ${least} to ${most}.`);
    }
    return value;
  };
}

/** Options that most commands share. */
function onPlatform(command: Command): Command {
  return command
    .option("--json", "print JSON alone on stdout", false)
    .option("--data <dir>", "data directory of the platform on this machine");
}

function onEnvironment(command: Command): Command {
  return onPlatform(command)
    .option("--project <name>", "project (default: the linked one, else the name in package.json)")
    .option("--env <name>", "environment", "production");
}

/** Runs a command's work; what it throws becomes the message, the fix and exit code 1. */
function action<A extends unknown[]>(work: (...args: A) => Promise<void>): (...args: A) => Promise<void> {
  return async (...args) => {
    const options = args.find(
      (arg): arg is A[number] & { json: boolean } => typeof arg === "object" && arg !== null && "json" in arg,
    );
    await work(...args).catch((error: unknown) => fail(error, { json: options?.json ?? false }));
  };
}

export function program(): Command {
  const tsdev = new Command("tsdev")
    .description("Deploy, trace and improve TypeScript backends.")
    .version(manifest.version)
    .showHelpAfterError("(run the command with --help for its flags)")
    .exitOverride();

  onPlatform(tsdev.command("serve"))
    .description("run the platform on this machine in the foreground")
    .option(
      "--port <n>",
      "port of everything; 0 takes a free one (default: 3200 or the next free one)",
      whole(0, 65_535),
    )
    .addHelpText("after", "\nExample:\n  npx tsdev serve --data ./.tsdev")
    .action(action(serve));
  onPlatform(tsdev.command("stop"))
    .description("stop the platform on this machine; apps keep serving unless --all")
    .option("--all", "end the apps, the router and the database server too", false)
    .action(action(stop));
  tsdev
    .command("init")
    .argument("[dir]", "folder of the app", ".")
    .description(
      "write a small app into an empty folder, or make an app deployable; says what was detected and written",
    )
    .option("--json", "print JSON alone on stdout", false)
    .action(action(init));
  onPlatform(tsdev.command("dev"))
    .argument("[dir]", "folder of the app", ".")
    .description("run the app on this machine; an edit is live at once, runs and requests in flight go on")
    .option("--port <n>", "0 takes a free one (default: PORT, else 3000 or the next free one)", whole(0, 65_535))
    .addHelpText("after", "\nExample:\n  npx tsdev dev ./my-app")
    .action(action(dev));
  tsdev
    .command("graph")
    .argument("[workflow]", "default: everything the app declares")
    .description("what an app declares, or a workflow's graph; imports the app's modules")
    .option("--dir <dir>", "folder of the app", ".")
    .option("--mermaid", "as a Mermaid flowchart", false)
    .option("--json", "print JSON alone on stdout", false)
    .action(action(graph));
  tsdev
    .command("integrate")
    .argument("<openapi>", "an OpenAPI 3.0 or 3.1 document: a file or a URL")
    .description("turn somebody's OpenAPI document into typed, traced procedures")
    .option("--out <dir>", "where the folder of the integration is written", "src/integrations")
    .option("--name <name>", "name of the integration (default: the title of the document)")
    .option("--force", "overwrite generated files that were changed since", false)
    .option("--json", "print JSON alone on stdout", false)
    .addHelpText(
      "after",
      "\nExample:\n  npx tsdev integrate https://petstore3.swagger.io/api/v3/openapi.json --name petstore",
    )
    .action(action(integrate));
  onEnvironment(tsdev.command("deploy"))
    .argument("[dir]", "folder of the app", ".")
    .description("push, build, release and make live; follows the log until healthy or failed")
    .option("--overwrite", "replace commits on the platform that this folder does not have", false)
    .option("--repository <owner/name>", "make the project from a repository on GitHub, and deploy from there")
    .addHelpText("after", "\nExample:\n  npx tsdev deploy ./my-app --project my-app")
    .action(action(deploy));
  onEnvironment(tsdev.command("deployments")).description("list deployments, newest first").action(action(deployments));
  onEnvironment(tsdev.command("rollback"))
    .argument("[deployment]", "default: the release before the live one")
    .description("make an earlier release live again")
    .action(action(rollback));
  onEnvironment(tsdev.command("scale"))
    .description("set how many instances run")
    .requiredOption("--replicas <n>", "0 to 20", whole(0, 20))
    .action(action(scale));
  onEnvironment(tsdev.command("logs"))
    .description("show or follow the log of an environment")
    .option("--follow", "go on until Ctrl-C", false)
    .option("--since <time>", "such as 15m, 1h, or an ISO time", "1h")
    .option("--search <text>", "only lines with this text")
    .option("--trace <id>", "only lines that were logged within this trace")
    .option("--limit <n>", "at most so many lines", whole(1, 1000), 200)
    .option("--context <n>", "with --follow: so many lines of the same instance around each", whole(0, 100))
    .action(action(logs));
  onEnvironment(tsdev.command("operations"))
    .description("list operations: requests, errors and durations, those that took most time first")
    .option("--since <time>", "such as 15m, 1h, or an ISO time", "1h")
    .action(action(operations));
  onEnvironment(tsdev.command("traces"))
    .argument("[id]", "a trace's id: shows its spans")
    .description("list traces, or show one")
    .option("--slow", "only traces of 100 ms and more, slowest first", false)
    .option("--error", "only traces with an error", false)
    .option("--operation <name>", "only traces with a request of this operation")
    .option("--since <time>", "such as 15m, 1h, or an ISO time", "1h")
    .action(action(traces));
  onEnvironment(tsdev.command("metrics"))
    .argument("[name]", "a metric's name: shows it over time")
    .description("list metrics, or show one over time")
    .option("--since <time>", "such as 15m, 1h, or an ISO time", "1h")
    .option("--of <what>", "average, min, max, rate, value or quantiles (default: by its kind)")
    .option("--group-by <attributes>", "a column for each value of an attribute; several with commas between")
    .option("--attribute <filter>", "key=value, key!=value, key or !key; may be given several times", several, [])
    .action(action(metrics));
  onEnvironment(tsdev.command("sql"))
    .argument("<select>", "one SELECT in ClickHouse's dialect")
    .description("ask the telemetry of an environment in SQL")
    .addHelpText("after", '\nExample:\n  npx tsdev sql "SELECT Operation, count() FROM otel_traces GROUP BY 1"')
    .action(action(sql));
  onEnvironment(tsdev.command("suggestions"))
    .argument("[id]", "a suggestion's id: shows it whole")
    .description("the suggestions inbox")
    .option("--apply", "open the pull request", false)
    .option("--dismiss <reason>", "dismiss with a reason")
    .option("--snooze <days>", "hide for some days", whole(1, 365))
    .action(action(suggestions));
  onEnvironment(tsdev.command("env"))
    .description("set variables of an environment (they reach its next deployment), or list their names")
    .argument("[assignments...]", "NAME=VALUE")
    .addOption(new Option("--plain", "not secret: shown in proofs and not redacted").default(false))
    .action(action(variables));
  onEnvironment(tsdev.command("otlp"))
    .description("print the variables with which an app started elsewhere sends its traces here")
    .addHelpText("after", '\nExample:\n  eval "$(npx tsdev otlp --project my-app)"')
    .action(action(otlp));
  tsdev
    .command("analyze")
    .argument("<files...>", "OTLP/JSON: one request a line, or one for the whole file; gzip allowed")
    .description("run every detector over trace files, with no platform running")
    .option("--repo <dir>", "accepted for scripts; places are as the traces have them")
    .option("--json", "print JSON alone on stdout", false)
    .action(action(analyze));
  tsdev
    .command("check")
    .argument("[dir]", "folder of the app", ".")
    .description("compare the workflows in the source with those at run time, and look for problems")
    .option("--json", "print JSON alone on stdout", false)
    .action(action(check));
  tsdev
    .command("suggest")
    .description("patches for findings against a checkout; nothing is executed")
    .requiredOption("--repo <dir>", "the checkout")
    .option("--traces <files...>", "OTLP/JSON files")
    .option("--finding <file>", "one element of analyze's findings")
    .option("--json", "print JSON alone on stdout", false)
    .action(action(suggest));
  onPlatform(tsdev.command("open"))
    .description("print a one-time link that opens the dashboard")
    .action(action(openDashboard));
  tsdev
    .command("mcp")
    .description("the MCP server on stdio, for an assistant that starts it")
    .option("--data <dir>", "data directory of the platform on this machine")
    .action(action(mcp));
  tsdev
    .command("setup")
    .description("set up other tools for this folder")
    .command("agent")
    .description("write an assistant's configuration in this folder, so that it starts `tsdev mcp`")
    .addOption(
      new Option("--client <name>", "default: the one whose folder is here, else claude").choices([...agentClients]),
    )
    .option("--json", "print JSON alone on stdout", false)
    .action(action(setupAgent));
  return tsdev;
}

/** Runs the command line. */
export async function main(argv: string[]): Promise<void> {
  try {
    await program().parseAsync(argv);
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    process.exitCode = error.exitCode === 0 ? 0 : wrongUse;
  }
}

// Run as it is, `node cli/main.ts`, it is the command too; `tsdev.js` stands before it for machines with an older Node.
if (import.meta.main) await main(process.argv);
