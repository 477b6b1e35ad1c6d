// Measure: the headline number of a suggestion, before and after.
import type { Suggestion } from "../api/types.ts";
import { measureOf } from "./words.ts";
import "./measure.css";

export function Headline({ suggestion, large = false }: { suggestion: Suggestion; large?: boolean }) {
  const { before, after, unit, note } = measureOf(suggestion);
  return (
    <p className={large ? "measure large" : "measure"}>
      <span className="figures">
        <span className={after === null ? "after" : "before"}>{before}</span>
        {after !== null && (
          <>
            <span className="arrow" aria-hidden="true">
              →
            </span>
            <span className="visually-hidden"> to </span>
            <span className="after">{after}</span>
          </>
        )}
      </span>
      <span className="unit"> {unit}</span>
      {note && <span className="note"> {note}</span>}
    </p>
  );
}
