// Dialog: asks before something happens; Escape and Cancel leave everything as it is.
import { type ReactNode, useEffect, useId, useRef } from "react";
import { ErrorNotice } from "./notice.tsx";

export function Dialog(props: {
  title: string;
  confirm: string;
  danger?: boolean;
  busy: boolean;
  ready?: boolean;
  error: unknown;
  onConfirm: () => void;
  onClose: () => void;
  children: ReactNode;
}) {
  const element = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    element.current?.showModal();
  }, []);
  return (
    <dialog ref={element} aria-labelledby={heading} onClose={props.onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          props.onConfirm();
        }}
      >
        <h2 id={heading}>{props.title}</h2>
        {props.children}
        {props.error ? <ErrorNotice error={props.error} /> : null}
        <div className="actions">
          <button type="button" className="button" onClick={() => element.current?.close()}>
            Cancel
          </button>
          <button
            type="submit"
            className={`button ${props.danger ? "danger" : "primary"}`}
            disabled={props.busy || props.ready === false}
          >
            {props.busy ? "Working…" : props.confirm}
          </button>
        </div>
      </form>
    </dialog>
  );
}
