// Confirmations by hazard: another's, changed, late, used, guessed, too many.
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Confirmations, confirmationSeconds, type Planned } from "./confirmations.ts";

const planned: Planned = { principal: "tok_1", operation: "variables.remove", input: { project: "shop", name: "KEY" } };

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it("fits once, also with the input's keys in another order", () => {
  const confirmations = new Confirmations();
  const id = confirmations.plan(planned);
  expect(confirmations.take(id, { ...planned, input: { name: "KEY", project: "shop" } })).toBe(true);
  expect(confirmations.take(id, planned)).toBe(false);
});

it("fits no other principal, operation or input, and is gone after the attempt", () => {
  for (const other of [
    { principal: "tok_2" },
    { operation: "projects.remove" },
    { input: { project: "shop", name: "OTHER" } },
  ]) {
    const confirmations = new Confirmations();
    const id = confirmations.plan(planned);
    expect(confirmations.take(id, { ...planned, ...other })).toBe(false);
    expect(confirmations.take(id, planned)).toBe(false);
  }
});

it("does not fit after its time", () => {
  const confirmations = new Confirmations();
  const id = confirmations.plan(planned);
  vi.advanceTimersByTime(confirmationSeconds * 1_000 + 1);
  expect(confirmations.take(id, planned)).toBe(false);
});

it("does not fit another process's, so a restart forgets what was not confirmed", () => {
  const id = new Confirmations().plan(planned);
  expect(new Confirmations().take(id, planned)).toBe(false);
});

it("keeps only so many, the newest", () => {
  const confirmations = new Confirmations();
  const ids = Array.from({ length: 1_500 }, () => confirmations.plan(planned));
  expect(confirmations.take(ids[0]!, planned)).toBe(false);
  expect(confirmations.take(ids.at(-1)!, planned)).toBe(true);
});
