// Login: turns the code of a one-time link into a session, once, and the page that says how to get a link.
import { useEffect, useRef, useState } from "react";
import { useLocation, useSearchParams } from "wouter";
import { ApiError, logIn } from "../api/client.ts";
import { signedIn } from "../api/session.ts";
import { ErrorNotice } from "../design/notice.tsx";
import { Page, Waiting } from "../frame/frame.tsx";

export function LoginPage() {
  const [query] = useSearchParams();
  const [, navigate] = useLocation();
  const [error, setError] = useState<ApiError | null>(null);
  const code = query.get("code");
  const sent = useRef(false);

  useEffect(() => {
    // the code is good for one request, and an effect may run twice
    if (!code || sent.current) return;
    sent.current = true;
    logIn(code).then(
      () => {
        signedIn();
        navigate("/inbox", { replace: true });
      },
      (thrown: unknown) => setError(ApiError.from(thrown)),
    );
  }, [code, navigate]);

  if (code && !error) return <Waiting />;
  return <SignInPage error={error} />;
}

export function SignInPage({ error }: { error?: ApiError | null }) {
  return (
    <Page title="Open the dashboard with a link">
      <div className="stack" style={{ maxWidth: 620 }}>
        {error && <ErrorNotice error={error} />}
        <p className="soft">
          There is no password. A link opens the dashboard once, in this browser, and you stay signed in for 30 days.
          Print one on the machine where the platform runs:
        </p>
        <div>
          <code className="command" style={{ marginTop: 0 }}>
            npx tsdev open
          </code>
        </div>
        <p className="faint small">
          A link lasts ten minutes. Starting the platform with npx tsdev serve prints one, too.
        </p>
      </div>
    </Page>
  );
}
