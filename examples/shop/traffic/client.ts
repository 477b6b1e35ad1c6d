// A client of the shop that also reaches `shop.demo.localhost`, which not every system resolves.
import { lookup } from "node:dns";
import { Agent, request } from "node:http";
import type { LookupFunction } from "node:net";

export interface Answer {
  /** 0 when there was no answer: the connection was refused or broke. */
  status: number;
  body: string;
}

export interface Client {
  send(method: "GET" | "POST", path: string, body?: unknown): Promise<Answer>;
  close(): void;
}

/** Every name under `localhost` is this machine (RFC 6761), also where the system's resolver does not know it. */
const lookupLocalhost: LookupFunction = (hostname, options, done) => {
  if (!/(^|\.)localhost$/.test(hostname)) lookup(hostname, options, done);
  else if (options.all) done(null, [{ address: "127.0.0.1", family: 4 }]);
  else done(null, "127.0.0.1", 4);
};

export function clientOf(url: string, signal?: AbortSignal): Client {
  const agent = new Agent({ keepAlive: true, lookup: lookupLocalhost } as ConstructorParameters<typeof Agent>[0]);
  return {
    send: (method, path, body) =>
      new Promise((resolve) => {
        const payload = body === undefined ? undefined : JSON.stringify(body);
        const headers = payload
          ? { "content-type": "application/json", "content-length": Buffer.byteLength(payload) }
          : {};
        const sent = request(new URL(path, url), { agent, method, headers, signal, timeout: 30_000 }, (response) => {
          response
            .setEncoding("utf8")
            .toArray()
            .then((chunks) => resolve({ status: response.statusCode ?? 0, body: chunks.join("") }))
            .catch(() => resolve({ status: 0, body: "" }));
        });
        sent.on("timeout", () => sent.destroy());
        sent.on("error", (error) => resolve({ status: 0, body: error.message }));
        sent.end(payload);
      }),
    close: () => agent.destroy(),
  };
}
