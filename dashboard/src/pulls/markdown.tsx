// Markdown: text of pull requests as elements; raw HTML in it is shown as text, images become links.
import Markdown from "react-markdown";
import remarkGfm from "remark-gfm";
import { Link } from "wouter";
import "./markdown.css";

/** The path within the dashboard, when the address is one of its own. */
function ownPath(href: string): string | null {
  const url = URL.parse(href, location.href);
  return url?.origin === location.origin ? url.pathname + url.search + url.hash : null;
}

export function MarkdownText({ text }: { text: string }) {
  return (
    <div className="markdown">
      <Markdown
        remarkPlugins={[remarkGfm]}
        components={{
          a: ({ href = "", children }) => {
            const own = ownPath(href);
            return own ? (
              <Link href={own}>{children}</Link>
            ) : (
              <a href={href} rel="noreferrer noopener" target="_blank">
                {children}
              </a>
            );
          },
          // the content security policy loads nothing from elsewhere
          img: ({ src, alt }) => (
            <a href={typeof src === "string" ? src : undefined} rel="noreferrer noopener" target="_blank">
              {alt || "image"}
            </a>
          ),
          table: ({ children }) => (
            <div className="scroll-x">
              <table>{children}</table>
            </div>
          ),
        }}
      >
        {text}
      </Markdown>
    </div>
  );
}
