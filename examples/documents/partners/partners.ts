// The services that the app works with, as one small local server: recognition, suppliers, signatures, the archive.
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Partners {
  /** For the app's PARTNERS_URL. */
  url: string;
  /** How often a request was made, failed tries included, for example `PUT /archive/jobs/d1`. */
  times(request: string): number;
  close(): Promise<void>;
}

export interface PartnersOptions {
  /** 0 takes a free one. */
  port?: number;
  /** Waited for before a page is answered. */
  onPage?: (page: string) => Promise<void>;
}

/**
 * The recognition service answers 422 to a page with `[blurred]`, and 503 to the first try of one with `[busy]`. The
 * archive needs three questions until a document is stored.
 */
export async function startPartners({ port = 0, onPage }: PartnersOptions = {}): Promise<Partners> {
  const asked = new Map<string, number>();
  const count = (what: string) => {
    const times = (asked.get(what) ?? 0) + 1;
    asked.set(what, times);
    return times;
  };

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "GET", url = "/" } = request;
    const body = (await request.setEncoding("utf8").toArray()).join("");
    const times = count(`${method} ${url}`);
    const [, service, , id = ""] = url.split("/");
    const digest = createHash("sha256").update(id).digest("hex").slice(0, 8);

    if (method === "POST" && url === "/ocr/recognise") {
      const { page } = JSON.parse(body) as { page: string };
      const tries = count(`page ${page}`);
      await onPage?.(page);
      if (page.includes("[blurred]")) return send(response, 422, { error: "nothing can be read" });
      if (page.includes("[busy]") && tries === 1) return send(response, 503, { error: "busy" });
      return send(response, 200, { text: page.trim() });
    }
    if (method === "GET" && service === "suppliers") return send(response, 200, { name: `Supplier ${url.slice(11)}` });
    if (method === "PUT" && url.startsWith("/signatures/requests/")) {
      return send(response, 202, { requestId: `sr_${digest}` });
    }
    if (method === "PUT" && url.startsWith("/archive/jobs/")) return send(response, 202, { jobId: id });
    if (method === "GET" && url.startsWith("/archive/jobs/")) {
      const stored = times >= 3;
      return send(response, 200, {
        status: stored ? "stored" : "working",
        archiveReference: stored ? `ar_${digest}` : null,
      });
    }
    send(response, 404, { error: `nothing at ${method} ${url}` });
  }

  const server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => {
      if (!response.headersSent) send(response, 400, { error: String(error) });
    });
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    times: (request) => asked.get(request) ?? 0,
    close: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

function send(response: ServerResponse, status: number, body: Record<string, string | null>): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}
