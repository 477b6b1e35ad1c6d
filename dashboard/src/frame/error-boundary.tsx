// Error boundary: a page that broke says so, and leaves the rest of the dashboard usable.
import { Component, type ReactNode } from "react";
import { ErrorNotice } from "../design/notice.tsx";

export class ErrorBoundary extends Component<{ children: ReactNode }, { error: unknown }> {
  override state: { error: unknown } = { error: null };

  static getDerivedStateFromError(error: unknown) {
    return { error };
  }

  override render() {
    if (this.state.error === null) return this.props.children;
    return (
      <main className="page">
        <ErrorNotice error={this.state.error} retry={() => location.reload()} />
      </main>
    );
  }
}
