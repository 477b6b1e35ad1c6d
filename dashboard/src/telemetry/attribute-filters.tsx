// Attribute filters: those that must hold, each taken away by a click, and a field for one more.
import { useState } from "react";
import type { Address } from "./use-address.ts";

/** Pairs of `key=value`; with `anyForm` also `key!=value`, `key` and `!key`. */
export function AttributeFilters(props: { address: Address; keys?: string[]; anyForm?: boolean }) {
  const { address, keys = [], anyForm = false } = props;
  const [draft, setDraft] = useState("");
  const pairs = address.all("attribute");
  const add = () => {
    const pair = draft.trim();
    if (!(anyForm ? /^(![^=!]+|[^=!][^=]*(=.+)?)$/ : /^[^=]+=.*[^=]$/).test(pair)) return;
    address.set({ attribute: [...new Set([...pairs, pair])] });
    setDraft("");
  };
  return (
    <>
      {pairs.map((pair) => (
        <button
          key={pair}
          type="button"
          className="chip"
          aria-label={`No longer only ${pair}`}
          onClick={() => address.set({ attribute: pairs.filter((one) => one !== pair) })}
        >
          <span className="mono">{pair}</span> ✕
        </button>
      ))}
      <form
        className="attribute-form"
        onSubmit={(event) => {
          event.preventDefault();
          add();
        }}
      >
        <input
          className="field"
          aria-label={anyForm ? "Attribute, as key=value, key!=value, key or !key" : "Attribute, as key=value"}
          placeholder={anyForm ? "key=value, !key ⏎" : "attribute=value ⏎"}
          value={draft}
          list="attribute-keys"
          maxLength={400}
          onChange={(event) => setDraft(event.target.value)}
        />
        {keys.length > 0 && (
          <datalist id="attribute-keys">
            {keys.map((key) => (
              <option key={key} value={`${key}=`} />
            ))}
          </datalist>
        )}
      </form>
    </>
  );
}
