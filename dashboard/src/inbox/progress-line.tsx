// Progress line: what is being patched and proven at this moment, told by the platform as it happens.
import { useState } from "react";
import { useStream } from "../api/hooks.ts";
import { plural } from "../design/format.ts";
import type { Place } from "./use-inbox.ts";

interface Event {
  suggestion: string;
  message: string;
  fraction?: number;
}

/** Browsers keep six connections to one address; the pages need some of them. */
const mostStreams = 2;

function Watch({ place, onEvent }: { place: Place; onEvent: (event: Event) => void }) {
  useStream("suggestions.watch", place, { onValue: onEvent });
  return null;
}

export function ProgressLine(props: {
  places: Place[];
  inWork: number;
  /** Instead of how many are in work. */
  label?: string;
  titleOf: (suggestion: string) => string | null;
}) {
  const [event, setEvent] = useState<Event | null>(null);
  const watched = props.inWork > 0 ? props.places.slice(0, mostStreams) : [];
  const title = event && props.titleOf(event.suggestion);
  return (
    <div className="progress" role="status">
      {watched.map((place) => (
        <Watch key={`${place.project}/${place.environment}`} place={place} onEvent={setEvent} />
      ))}
      {props.inWork > 0 && (
        <>
          <span className="state accent busy">{props.label ?? `${plural(props.inWork, "suggestion")} in work`}</span>
          <span className="message">
            {title && <span className="soft">{title}: </span>}
            {event?.message ?? "waiting for its turn"}
          </span>
          {event?.fraction !== undefined && (
            <progress max={1} value={event.fraction} aria-label="How far it is">
              {Math.round(event.fraction * 100)} %
            </progress>
          )}
        </>
      )}
    </div>
  );
}
