// Which functions of ClickHouse somebody outside may call: those that compute from their arguments alone.
import type { TelemetryReader } from "../reader.ts";

export interface FunctionRow {
  name: string;
  category: string;
  aggregate: boolean;
  /** The function that it is another name of; empty where it is none. */
  alias: string;
}

/** Categories of `system.functions` that read nothing but their arguments. */
const categories = new Set([
  ...["Aggregate Functions", "Arithmetic", "Arrays", "Bit", "Bitmap", "Comparison", "Conditional", "Dates and Times"],
  ...["Distance", "Encoding", "Financial", "Hash", "IP Address", "JSON", "Logical", "Map", "Mathematical", "Null"],
  ...["Random Number", "Rounding", "String", "String Replacement", "String Search", "String Splitting", "Time Window"],
  ...["Tuple", "Type Conversion", "URL", "UUID"],
]);

/** Single ones of other categories, which the parser also puts in place of syntax. */
const others = new Set([
  ...[
    "lambda",
    "caseWithExpression",
    "bar",
    "transform",
    "toTypeName",
    "byteSize",
    "identity",
    "ignore",
    "materialize",
  ],
  ...["formatReadableSize", "formatReadableDecimalSize", "formatReadableQuantity", "formatReadableTimeDelta"],
  ...["normalizeQuery", "normalizedQueryHash", "runningDifference", "finalizeAggregation", "getSubcolumn"],
  ...["seriesOutliersDetectTukey", "numbers", "zeros", "generateSeries", "generate_series", "values"],
]);

/**
 * Of the allowed categories, those that tell about the server or end it, those that call a function which is named in a
 * text, and those whose time grows with the square of a text: the limit of time is looked at between blocks alone.
 */
export const never = new Set([
  ...["aggThrow", "chdb", "serverTimezone", "flameGraph", "generateSnowflakeID", "fuzzBits"],
  ...["arrayReduce", "arrayReduceInRanges", "initializeAggregation"],
  ...["editDistance", "editDistanceUTF8", "damerauLevenshteinDistance", "jaroSimilarity", "jaroWinklerSimilarity"],
  ...["stringJaccardIndex", "stringJaccardIndexUTF8", "arrayLevenshteinDistance", "arrayLevenshteinDistanceWeighted"],
  ...["arraySimilarity", "arrayAutocorrelation", "multiFuzzyMatchAny", "multiFuzzyMatchAnyIndex"],
  ...["multiFuzzyMatchAllIndices", "sparseGrams", "sparseGramsUTF8", "sparseGramsHashes", "sparseGramsHashesUTF8"],
  ...["isPrime", "isProbablePrime", "randomHadamardTransform", "seriesDecomposeSTL"],
]);

/** What may follow an aggregate function's name (`system.aggregate_function_combinators`). */
const combinators =
  /(SimpleState|OrDefault|OrNull|Distinct|Resample|ForEach|ArgMax|ArgMin|Tuple|Merge|State|Array|Map|If|Null)$/;

/** Every function of this ClickHouse, by its name in lower case: many of them are called in any case. */
export async function functionNames(reader: TelemetryReader): Promise<ReadonlyMap<string, FunctionRow>> {
  const rows = await reader.query<FunctionRow>(
    `SELECT name, categories AS category, is_aggregate = 1 AS aggregate, alias_to AS alias FROM system.functions`,
  );
  return new Map(rows.map((row) => [row.name.toLowerCase(), row]));
}

/** A function that is not known to be harmless is not allowed. Table functions are allowed by `others` alone. */
export function allowedFunction(name: string, known: ReadonlyMap<string, FunctionRow>): boolean {
  if (others.has(name)) return true;
  const row = known.get(name.toLowerCase());
  if (row === undefined) {
    // An aggregate function with combinators, such as `sumIf` or `quantileDDStateIf`.
    const base = name.replace(combinators, "");
    return base !== name && base !== "" && isAggregate(base, known) && allowedFunction(base, known);
  }
  if (row.alias !== "" && row.alias.toLowerCase() !== row.name.toLowerCase()) return allowedFunction(row.alias, known);
  return categories.has(row.category) && !never.has(row.name);
}

function isAggregate(name: string, known: ReadonlyMap<string, FunctionRow>): boolean {
  const row = known.get(name.toLowerCase());
  return row === undefined ? combinators.test(name) : row.aggregate;
}
