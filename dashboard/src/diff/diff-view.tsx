// Diff view: the changed files, side by side or in one column, with code colours and the changed words marked.
import { type ReactNode, useState } from "react";
import type { Token } from "./highlighter.ts";
import { type DiffFile, type DiffLine, pairs } from "./patch-lines.ts";
import { type TokensOf, useHighlighted } from "./use-highlighted.ts";
import "./diff.css";

type Layout = "split" | "unified";
const layoutKey = "tsdev.diff";

function startLayout(): Layout {
  const kept = localStorage.getItem(layoutKey);
  if (kept === "split" || kept === "unified") return kept;
  return window.innerWidth >= 1000 ? "split" : "unified";
}

const signs = { same: " ", removed: "−", added: "+" };

interface Piece {
  at: number;
  text: string;
  color: string | undefined;
  changed: boolean;
}

/** A line's text in pieces, each with one colour and either changed or not. */
function pieces(line: DiffLine, tokens: Token[] | null): Piece[] {
  const result: Piece[] = [];
  let at = 0;
  for (const token of tokens ?? [{ text: line.text, color: undefined }]) {
    const end = at + token.text.length;
    while (at < end) {
      const range = line.changed.find(([, to]) => to > at);
      const changed = range !== undefined && range[0] <= at;
      const border = Math.min(end, range === undefined ? end : changed ? range[1] : range[0]);
      result.push({ at, text: line.text.slice(at, border), color: token.color, changed });
      at = border;
    }
  }
  return result;
}

function Code({ line, tokensOf }: { line: DiffLine; tokensOf: TokensOf | null }) {
  return (
    <code>
      {pieces(line, tokensOf?.(line) ?? null).map(({ text, color, changed, at }) =>
        changed ? (
          <mark key={at} style={{ color }}>
            {text}
          </mark>
        ) : (
          <span key={at} style={{ color }}>
            {text}
          </span>
        ),
      )}
    </code>
  );
}

function Side({ line, which, tokensOf }: { line: DiffLine | null; which: "old" | "new"; tokensOf: TokensOf | null }) {
  if (!line) return <td className="none" colSpan={2} />;
  return (
    <>
      <td className={`no ${line.kind}`}>{which === "old" ? line.oldNumber : line.newNumber}</td>
      <td className={`line ${line.kind}`} data-sign={signs[line.kind]}>
        <Code line={line} tokensOf={tokensOf} />
      </td>
    </>
  );
}

function rowsOf(file: DiffFile, layout: Layout, tokensOf: TokensOf | null): ReactNode {
  return file.hunks.map((hunk, index) => (
    <tbody key={hunk.header}>
      {index > 0 && (
        <tr className="gap">
          <td colSpan={layout === "split" ? 4 : 3}>{hunk.header}</td>
        </tr>
      )}
      {layout === "split"
        ? pairs(hunk.lines).map(([before, after]) => (
            <tr key={`${before?.oldNumber}:${after?.newNumber}`}>
              <Side line={before} which="old" tokensOf={tokensOf} />
              <Side line={after} which="new" tokensOf={tokensOf} />
            </tr>
          ))
        : hunk.lines.map((line) => (
            <tr key={`${line.oldNumber}:${line.newNumber}`}>
              <td className={`no ${line.kind}`}>{line.oldNumber}</td>
              <td className={`no ${line.kind}`}>{line.newNumber}</td>
              <td className={`line ${line.kind}`} data-sign={signs[line.kind]}>
                <Code line={line} tokensOf={tokensOf} />
              </td>
            </tr>
          ))}
    </tbody>
  ));
}

function FileDiff({ file, layout }: { file: DiffFile; layout: Layout }) {
  const tokensOf = useHighlighted(file);
  return (
    <section className="diff-file" aria-label={`Changes in ${file.path}`}>
      <header>
        <span className="mono">{file.path}</span>
        <span className="counts">
          <span className="plus">+{file.added}</span> <span className="minus">−{file.removed}</span>
        </span>
      </header>
      <table className={`diff ${layout}`}>
        <colgroup>
          {layout === "split" ? (
            <>
              <col className="numbers" />
              <col />
              <col className="numbers" />
              <col />
            </>
          ) : (
            <>
              <col className="numbers" />
              <col className="numbers" />
              <col />
            </>
          )}
        </colgroup>
        {rowsOf(file, layout, tokensOf)}
      </table>
    </section>
  );
}

/** `files` must keep its identity between renders: colours are computed once for it. */
export function DiffView({ files, title }: { files: DiffFile[]; title: ReactNode }) {
  const [layout, setLayout] = useState(startLayout);
  const choose = (next: Layout) => {
    localStorage.setItem(layoutKey, next);
    setLayout(next);
  };
  return (
    <div className="panel diff-panel">
      <header>
        {title}
        <fieldset className="segments" aria-label="Layout of the diff">
          <button type="button" aria-pressed={layout === "split"} onClick={() => choose("split")}>
            Side by side
          </button>
          <button type="button" aria-pressed={layout === "unified"} onClick={() => choose("unified")}>
            Unified
          </button>
        </fieldset>
      </header>
      {files.length === 0 && <p className="soft diff-none">No changes.</p>}
      {files.map((file) => (
        <FileDiff key={file.path} file={file} layout={layout} />
      ))}
    </div>
  );
}
