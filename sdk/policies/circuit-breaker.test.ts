// Circuit breaker: when calls rest, who may try, and what has no say.
import { expect, test } from "vitest";
import { TsdevError } from "../errors.ts";
import { CircuitBreaker } from "./circuit-breaker.ts";

const signal = new AbortController().signal;
const broken = () => Promise.reject(new Error("broken"));
const fine = () => Promise.resolve("fine");
const mistake = () => Promise.reject(new TsdevError("invalid_input", { message: "m", fix: "f" }));

function breaker(failures = 2) {
  const clock = { now: 0 };
  return { clock, breaker: new CircuitBreaker("it", { failures, openMs: 1_000 }, () => clock.now) };
}

async function opened() {
  const made = breaker();
  for (let n = 0; n < 2; n++) await expect(made.breaker.execute(signal, broken)).rejects.toThrow("broken");
  return made;
}

test("failures in a row open it; calls are refused with how long, without being made", async () => {
  const { clock, breaker: it } = await opened();
  clock.now = 400;
  let made = false;
  const call = it.execute(signal, async () => {
    made = true;
  });
  await expect(call).rejects.toMatchObject({ code: "circuit_open", retryAfterMs: 600 });
  expect(made).toBe(false);
});

test("a success in between begins the count anew", async () => {
  const { breaker: it } = breaker();
  await it.execute(signal, broken).catch(() => {});
  await it.execute(signal, fine);
  await it.execute(signal, broken).catch(() => {});
  expect(it.state).toBe("closed");
});

test("the caller's own mistakes and what was canceled do not count", async () => {
  const { breaker: it } = breaker();
  const gone = AbortSignal.abort(new Error("gone"));
  for (let n = 0; n < 5; n++) {
    await it.execute(signal, mistake).catch(() => {});
    await it.execute(gone, broken).catch(() => {});
    await it.execute(signal, () => Promise.reject(Object.assign(new Error("taken"), { status: 409 }))).catch(() => {});
  }
  expect(it.state).toBe("closed");
});

test("of a hundred that come when the rest is over one is let through, and its success closes the circuit", async () => {
  const { clock, breaker: it } = await opened();
  clock.now = 1_000;
  const gate = Promise.withResolvers<string>();
  let made = 0;
  const calls = Array.from({ length: 100 }, () =>
    it.execute(signal, () => {
      made += 1;
      return gate.promise;
    }),
  );
  const settled = Promise.allSettled(calls);
  gate.resolve("fine");
  const results = await settled;
  expect(made).toBe(1);
  expect(results.filter((one) => one.status === "fulfilled")).toHaveLength(1);
  for (const result of results.slice(1)) {
    expect(result).toMatchObject({ status: "rejected", reason: { code: "circuit_open" } });
  }
  expect(it.state).toBe("closed");
});

test("the failure of the one that tries opens it for as long again", async () => {
  const { clock, breaker: it } = await opened();
  clock.now = 1_000;
  await expect(it.execute(signal, broken)).rejects.toThrow("broken");
  await expect(it.execute(signal, fine)).rejects.toMatchObject({ retryAfterMs: 1_000 });
  clock.now = 2_000;
  expect(await it.execute(signal, fine)).toBe("fine");
});

test("one that tries and is canceled, or makes a mistake, leaves the try to the next", async () => {
  const { clock, breaker: it } = await opened();
  clock.now = 1_000;
  const caller = new AbortController();
  const tried = it.execute(
    caller.signal,
    () => new Promise((_, reject) => caller.signal.addEventListener("abort", reject)),
  );
  caller.abort();
  await tried.catch(() => {});
  await it.execute(signal, mistake).catch(() => {});
  expect(it.state).toBe("half_open");
  expect(await it.execute(signal, fine)).toBe("fine");
  expect(it.state).toBe("closed");
});

test("a call that began before the circuit opened neither closes it nor keeps it open", async () => {
  const { clock, breaker: it } = breaker();
  const slow = [Promise.withResolvers<string>(), Promise.withResolvers<string>()];
  const calls = slow.map(({ promise }) => it.execute(signal, () => promise));
  for (let n = 0; n < 2; n++) await it.execute(signal, broken).catch(() => {});
  slow[0]!.resolve("late");
  await calls[0];
  expect(it.state).toBe("open");
  clock.now = 1_000;
  expect(await it.execute(signal, fine)).toBe("fine");
  slow[1]!.reject(new Error("later still"));
  await calls[1]!.catch(() => {});
  await it.execute(signal, broken).catch(() => {});
  expect(it.state).toBe("closed");
});
