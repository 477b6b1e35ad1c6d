// Highlighter: code colours for TypeScript in a light and a dark theme, loaded when the first diff is shown.
import { createHighlighterCore } from "shiki/core";
import { createJavaScriptRegexEngine } from "shiki/engine/javascript";
import typescript from "shiki/langs/typescript.mjs";
import dark from "shiki/themes/github-dark-default.mjs";
import light from "shiki/themes/github-light-default.mjs";

export interface Token {
  text: string;
  color: string | undefined;
}

// regular expressions of the browser: WebAssembly would need a looser content security policy
const highlighter = createHighlighterCore({
  langs: [typescript],
  themes: [light, dark],
  engine: createJavaScriptRegexEngine({ forgiving: true }),
});

/** The tokens of every line. */
export async function highlight(code: string): Promise<Token[][]> {
  const { tokens } = (await highlighter).codeToTokens(code, {
    lang: "typescript",
    themes: { light: "github-light-default", dark: "github-dark-default" },
    defaultColor: "light-dark()",
  });
  return tokens.map((line) =>
    line.map(({ content, htmlStyle }) => ({ text: content, color: htmlStyle?.color as string | undefined })),
  );
}
