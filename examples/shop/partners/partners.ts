// The companies the shop works with, as small local servers in one process: payment, carrier, mail, analytics.
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as after } from "node:timers/promises";
import { z } from "zod";
import { failureOf, fraction } from "./schedule.ts";

interface Service {
  method: "POST" | "PUT";
  path: RegExp;
  /** The order that a request is about. */
  order(path: string, body: unknown): string;
  /** How long an answer takes, in milliseconds: from, to. */
  takes: [number, number];
  status: number;
  flaky: boolean;
  answer(id: string): Record<string, string>;
}

const services: Record<string, Service> = {
  payment: {
    method: "POST",
    path: /^\/charges$/,
    order: (_path, body) => z.object({ reference: z.string(), amountCents: z.int() }).parse(body).reference,
    takes: [12, 16],
    status: 201,
    flaky: true,
    answer: (id) => ({ chargeId: `ch_${id}` }),
  },
  carrier: {
    method: "PUT",
    path: /^\/shipments\/\d+$/,
    order: (path) => path.slice(path.lastIndexOf("/") + 1),
    takes: [8, 12],
    status: 200,
    flaky: true,
    answer: (id) => ({ trackingCode: `TR-${id.toUpperCase()}` }),
  },
  mail: {
    method: "POST",
    path: /^\/messages$/,
    order: (_path, body) => z.object({ to: z.string(), subject: z.string() }).parse(body).subject,
    takes: [28, 34],
    status: 202,
    flaky: false,
    answer: (id) => ({ mailId: `ml_${id}` }),
  },
  analytics: {
    method: "POST",
    path: /^\/events$/,
    order: (_path, body) => z.object({ orderNumber: z.string() }).parse(body).orderNumber,
    takes: [28, 34],
    status: 202,
    flaky: false,
    answer: (id) => ({ eventId: `ev_${id}` }),
  },
};

export interface Partners {
  /** For the shop's PARTNERS_URL. */
  url: string;
  /** How often a partner was asked about an order, failed tries included. */
  tries(service: "payment" | "carrier" | "mail" | "analytics", order: string): number;
  close(): Promise<void>;
}

/**
 * Starts the partners on one port (0 takes a free one). One order of 16 fails at its first try at the carrier,
 * and as many at the payment service: with a 503, or by a connection that breaks. Which ones is decided by the seed.
 */
export async function startPartners({ port = 0, seed = 7 }: { port?: number; seed?: number } = {}): Promise<Partners> {
  const tried = new Map<string, number>();

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, name = "", rest = ""] = /^\/([a-z]+)(\/.*)$/.exec(request.url ?? "") ?? [];
    const service = services[name];
    const body = await read(request);
    if (!service?.path.test(rest)) return send(response, 404, { error: `nothing at ${request.url}` });
    if (request.method !== service.method) return send(response, 405, { error: `use ${service.method}` });
    const order = service.order(rest, body);
    const attempt = (tried.get(`${name} ${order}`) ?? 0) + 1;
    tried.set(`${name} ${order}`, attempt);

    const [from, to] = service.takes;
    await after(from + (to - from) * fraction(seed, name, order, attempt));
    const failure = service.flaky ? failureOf(seed, name, order, attempt) : undefined;
    if (failure === "reset") return void request.socket.resetAndDestroy();
    if (failure === "unavailable") return send(response, 503, { error: "busy, try again" });
    const id = Math.floor(fraction(name, order) * 2 ** 32).toString(36);
    send(response, service.status, service.answer(id));
  }

  const server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => {
      const wrong = error instanceof z.ZodError || error instanceof SyntaxError;
      if (!response.headersSent) send(response, wrong ? 400 : 500, { error: String(error) });
    });
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    tries: (service, order) => tried.get(`${service} ${order}`) ?? 0,
    close: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

async function read(request: IncomingMessage): Promise<unknown> {
  const text = (await request.setEncoding("utf8").toArray()).join("");
  return text === "" ? undefined : JSON.parse(text);
}

function send(response: ServerResponse, status: number, body: Record<string, string>): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}
