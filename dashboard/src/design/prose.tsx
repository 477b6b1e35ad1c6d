// Prose: a sentence in which text between backticks is code; everything else stays as it is written.
export function Prose({ text }: { text: string }) {
  let at = 0;
  return text.split(/(`[^`]+`)/).map((part) => {
    const key = at;
    at += part.length;
    return part.length > 2 && part.startsWith("`") && part.endsWith("`") ? (
      <code key={key} className="inline">
        {part.slice(1, -1)}
      </code>
    ) : (
      <span key={key}>{part}</span>
    );
  });
}
