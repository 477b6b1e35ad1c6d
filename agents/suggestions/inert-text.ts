// Inert text: text from traces, errors and source as Markdown that shows it and does nothing: no markup, mention, link or closing of issues.

const longest = 300;
const longestSentence = 2000;
/** Breaks what GitHub would act on (`@name`, `#1`, `scheme://`) and shows nothing. */
const breaker = "\u200b";

/** One line without control and direction characters, shortened. */
export function oneLine(text: string, most = longest): string {
  const flat = [
    ...text
      .replace(/\s+/g, " ")
      .replace(/[\p{Cc}\p{Cf}]/gu, "")
      .trim(),
  ];
  return flat.length > most ? `${flat.slice(0, most - 1).join("")}…` : flat.join("");
}

/** For places that are not Markdown but are searched for mentions: a title, a commit's message. */
export function plain(text: string, most?: number): string {
  return oneLine(text, most).replace(/[@#](?=\w)/g, `$&${breaker}`);
}

/** As a part of a sentence. */
export function inert(text: string): string {
  return plain(text, longestSentence)
    .replace(/[\\`*_~[\]<>|!]/g, "\\$&")
    .replaceAll("&", "&amp;")
    .replace(/\b(\w+):\/\//g, `$1:${breaker}//`)
    .replace(/\bwww\./gi, `www${breaker}.`);
}

/** A sentence of ours that quotes names of the app: its code spans stay, everything else of it is inert. */
export function safeMarkdown(text: string): string {
  return text
    .split(/(`[^`\n]+`)/)
    .map((part, index) => (index % 2 === 1 ? part : spaced(part)))
    .join("");
}

/** `inert` keeps the spaces at the ends, which separate a sentence from its code spans. */
const spaced = (part: string) =>
  part.trim() === ""
    ? part.replace(/\s+/g, " ")
    : `${/^\s/.test(part) ? " " : ""}${inert(part)}${/\s$/.test(part) ? " " : ""}`;

/** As code in a sentence. */
export function code(text: string): string {
  const line = oneLine(text);
  const fence = "`".repeat(longestRun(line, 0) + 1);
  return line.includes("`") ? `${fence} ${line} ${fence}` : `${fence}${line}${fence}`;
}

/** As a block of code. */
export function fenced(language: string, text: string, most = 4000): string {
  const clean = text.replace(/(?![\n\t])[\p{Cc}\p{Cf}]/gu, "");
  const shown = clean.length > most ? `${clean.slice(0, most)}\n…` : clean;
  const fence = "`".repeat(longestRun(shown, 2) + 1);
  return `${fence}${language}\n${shown}\n${fence}`;
}

const longestRun = (text: string, least: number) =>
  Math.max(least, ...[...text.matchAll(/`+/g)].map((run) => run[0].length));
