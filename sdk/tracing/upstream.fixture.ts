// Fixture: a service of the outside world that remembers what it was asked.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";

export interface UpstreamFixture {
  readonly url: string;
  readonly requests: {
    method: string;
    path: string;
    headers: Record<string, string | string[] | undefined>;
    body: string;
  }[];
  stop(): Promise<void>;
}

/** Answers JSON, gzip where asked; `/reset` breaks the connection, `/charges` is created. */
export async function startUpstream(
  answer?: (path: string) => { status?: number; headers?: Record<string, string>; body?: string },
): Promise<UpstreamFixture> {
  const requests: UpstreamFixture["requests"] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk) => {
      body += chunk;
    });
    request.on("end", () => {
      const path = request.url ?? "";
      requests.push({ method: request.method ?? "", path, headers: request.headers, body });
      if (path === "/reset") return request.socket.resetAndDestroy();
      const {
        status = path === "/charges" ? 201 : 200,
        headers = {},
        body: text = JSON.stringify({ path }),
      } = answer?.(path) ?? {};
      if (request.headers["accept-encoding"]?.includes("gzip")) {
        response.writeHead(status, { "content-type": "application/json", "content-encoding": "gzip", ...headers });
        return response.end(gzipSync(text));
      }
      response.writeHead(status, { "content-type": "application/json", ...headers }).end(text);
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    stop: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
}
