// Names: identifiers made from the words of somebody's document.

/** Words that no variable can be named by. */
export const reserved: ReadonlySet<string> = new Set(
  "break case catch class const continue debugger default delete do else enum export extends false finally for function if import in instanceof new null return super switch this throw true try typeof var void while with yield let static await async implements interface package private protected public arguments eval".split(
    " ",
  ),
);

/** `get_pet by-id` as `getPetById`; empty when there is no letter; `class` as `classOne`. */
export function camelCase(text: string): string {
  const words = text
    .normalize("NFKD")
    .replaceAll(/([a-z0-9])([A-Z])/g, "$1 $2")
    .replaceAll(/([A-Z])([A-Z][a-z])/g, "$1 $2")
    .split(/[^A-Za-z0-9]+/)
    .filter((word) => word !== "");
  const name = words
    .map((word) => word.toLowerCase())
    .map((word, index) => (index === 0 ? word : `${word[0]?.toUpperCase()}${word.slice(1)}`))
    .join("")
    .replace(/^\d+/, (digits) => `n${digits}`);
  return reserved.has(name) ? `${name}One` : name;
}

/** The name, or with the first number that makes it one of its own; compared without regard to case. */
export function unique(name: string, taken: Set<string>): string {
  let free = name;
  for (let count = 2; taken.has(free.toLowerCase()); count++) free = `${name}${count}`;
  taken.add(free.toLowerCase());
  return free;
}
