// Frames: source places as spans carry them.
import type { SourcePlace } from "./finding.ts";

/**
 * The file relative to the app's folder. Most spans say it so already; a path of the running machine is cut behind
 * the release's folder, whose name changes with each deployment.
 */
export function relativeFile(path: string): string | null {
  if (path === "") return null;
  const clean = path.replace(/^file:\/\//, "").replaceAll("\\", "/");
  return clean.replace(/^.*\/releases\/[^/]+\//, "").replace(/^(\.\/)+/, "");
}

/** `tsdev.code.frames` (a JSON array of `file:line:function`, innermost first), else the one place of the span. */
export function framesOf(frames: string, file: string, line: string): SourcePlace[] {
  const places: SourcePlace[] = [];
  for (const text of jsonArray(frames)) {
    const match = /^(.+?):(\d+)(?::(.*))?$/.exec(text);
    const path = match === null ? null : relativeFile(match[1] ?? "");
    if (match !== null && path !== null) {
      places.push({
        file: path,
        line: Number(match[2]),
        function: match[3] && match[3] !== "<anonymous>" ? match[3] : null,
      });
    }
  }
  const path = relativeFile(file);
  if (places.length === 0 && path !== null && line !== "") {
    places.push({ file: path, line: Number(line), function: null });
  }
  return places;
}

/** The strings of a JSON array; nothing when the text is none. */
export function jsonArray(text: string): string[] {
  if (text === "") return [];
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
  } catch {
    return [];
  }
}
