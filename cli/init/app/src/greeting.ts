// Greeting: a procedure with a route of its own, and a workflow that uses it.
import { procedure, workflow } from "@tsdev/sdk";
import { z } from "zod";

export const greet = procedure({
  name: "greet",
  input: z.object({ name: z.string().min(1) }),
  output: z.object({ greeting: z.string() }),
  effects: { reads: [], writes: [] },
  idempotent: true,
  http: { method: "GET", path: "/greetings/:name" },
  handler: ({ name }) => ({ greeting: `Hello, ${name}!` }),
});

export const welcome = workflow("welcome")
  .input(z.object({ name: z.string().min(1) }))
  .step(greet)
  .run("count-letters", async ({ greeting }) => ({ letters: greeting.length }));
