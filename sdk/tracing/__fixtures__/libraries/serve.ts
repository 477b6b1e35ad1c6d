// Serve: what the programs of this folder have in common: each path answers what its function gives.
import { createServer } from "node:http";

export function serve(paths: Record<string, () => Promise<unknown>>): void {
  const server = createServer(async (request, response) => {
    const run = paths[(request.url ?? "").slice(1)];
    try {
      response.end(JSON.stringify({ result: await run?.() }));
    } catch (error) {
      const { name, message } = error as Error;
      response.writeHead(500).end(JSON.stringify({ name, message }));
    }
  });
  server.listen(Number(process.env.PORT), () => {
    console.log(`listening on ${(server.address() as { port: number }).port}`);
  });
}
