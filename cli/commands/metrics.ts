// metrics: a list of an environment's metrics, or one of them over time.
import type { Input, Output } from "../../client/client.ts";
import { TsdevError } from "../../sdk/errors.ts";
import { dim, print, table } from "../output.ts";
import { type EnvironmentFlags, place } from "./operate.ts";

type Metric = Output<"metrics.list">["metrics"][number];
type Question = Input<"metrics.query">;

/** Rows of time that are shown. */
const points = 20;

export async function metrics(
  name: string | undefined,
  flags: EnvironmentFlags & { since: string; groupBy?: string; attribute: string[]; of?: string },
): Promise<void> {
  const { client, where } = await place(flags);
  const listed = await client.call("metrics.list", { ...where, since: flags.since });
  if (name === undefined) {
    print(listed, flags, ({ metrics: list }) =>
      table(
        ["metric", "kind", "unit", "series", "attributes"],
        list.map((one) => [one.name, one.kind, one.unit, String(one.series), dim(one.attributes.join(", "))]),
      ),
    );
    return;
  }
  const metric = listed.metrics.find((one) => one.name === name);
  if (metric === undefined) {
    throw new TsdevError("not_found", {
      message: `no metric ${name} in ${where.project}, ${where.environment}, since ${flags.since}`,
      fix: "`npx tsdev metrics` lists them; --since looks further back",
    });
  }
  const output = await client.call("metrics.query", {
    ...where,
    ...{ metric: name, since: flags.since, points },
    kind: metric.kind,
    of: (flags.of ?? usual(metric)) as Question["of"],
    ...(flags.groupBy === undefined ? {} : { groupBy: flags.groupBy.split(",").map((key) => key.trim()) }),
    ...(flags.attribute.length === 0 ? {} : { attributes: flags.attribute }),
  });
  print(output, flags, ({ times, series, omittedGroups }) => {
    const rows = table(
      ["from", ...series.map(({ group }) => group.join(", ") || name)],
      times.map((time, index) => [
        dim(new Date(time).toISOString().slice(11, 19)),
        ...series.map(({ values }) => shown(values[index] ?? null)),
      ]),
    );
    return omittedGroups > 0 ? `${rows}\n${omittedGroups} more groups are not shown: --attribute narrows them` : rows;
  });
}

/** What tells most of a metric of this kind. */
function usual({ kind, monotonic }: Metric): string {
  if (kind === "sum") return monotonic ? "rate" : "value";
  return kind === "summary" ? "quantiles" : "average";
}

function shown(value: number | null): string {
  return value === null ? "" : String(Number(value.toPrecision(5)));
}
