// Notices: an error with what to do, and the empty state that says what comes next.
import type { ReactNode } from "react";
import { ApiError } from "../api/client.ts";
import { Prose } from "./prose.tsx";

export function ErrorNotice({ error, retry }: { error: unknown; retry?: () => void }) {
  const { code, message, fix } = ApiError.from(error);
  return (
    <div className="notice bad" role="alert">
      <code className="code">{code}</code>
      <p>{message}</p>
      <p className="fix">
        <Prose text={fix} />
      </p>
      {retry && (
        <p style={{ marginTop: 8 }}>
          <button type="button" className="button small" onClick={retry}>
            Try again
          </button>
        </p>
      )}
    </div>
  );
}

export function Empty({ title, children, command }: { title: string; children?: ReactNode; command?: string }) {
  return (
    <div className="empty">
      <h2>{title}</h2>
      {children && <p>{children}</p>}
      {command && <code className="command">{command}</code>}
    </div>
  );
}
