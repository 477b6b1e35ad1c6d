// Search field: a text that goes into the address when one stops typing, or at once with Enter.
import { useEffect, useEffectEvent, useState } from "react";

const restMs = 300;

export function SearchField(props: {
  label: string;
  placeholder?: string;
  value: string;
  onChange: (value: string) => void;
  list?: string[];
  grow?: boolean;
  type?: "search" | "number";
  most?: number;
}) {
  const { value } = props;
  const [draft, setDraft] = useState(value);
  const [before, setBefore] = useState(value);
  if (value !== before) {
    setBefore(value);
    setDraft(value);
  }
  const commit = useEffectEvent((text: string) => {
    if (text.trim() !== value) props.onChange(text.trim());
  });
  useEffect(() => {
    const timer = setTimeout(() => commit(draft), restMs);
    return () => clearTimeout(timer);
  }, [draft]);
  const listId = props.list && `list-of-${props.label.replaceAll(/\W+/g, "-")}`;
  return (
    <>
      <input
        className={props.grow ? "field grow" : "field"}
        type={props.type ?? "search"}
        min={props.type === "number" ? 0 : undefined}
        aria-label={props.label}
        placeholder={props.placeholder ?? props.label}
        value={draft}
        maxLength={props.most ?? 300}
        list={listId}
        onChange={(event) => setDraft(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter" && draft.trim() !== value) props.onChange(draft.trim());
        }}
      />
      {listId && (
        <datalist id={listId}>
          {props.list?.map((one) => (
            <option key={one} value={one} />
          ))}
        </datalist>
      )}
    </>
  );
}
