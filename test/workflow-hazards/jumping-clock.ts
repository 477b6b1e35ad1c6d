// Jumping clock: loaded before anything else, it lets `Date` jump by an hour to and fro, as CLOCK_JUMPS says.
const RealDate = Date;
let offsetMs = 0;

class JumpingDate extends RealDate {
  constructor(...parts: unknown[]) {
    if (parts.length === 0) super(RealDate.now() + offsetMs);
    // biome-ignore lint/suspicious/noExplicitAny: the forms of the constructor have no common type
    else super(...(parts as [any]));
  }
  static override now(): number {
    return RealDate.now() + offsetMs;
  }
}

if (process.env.CLOCK_JUMPS === "1") {
  globalThis.Date = JumpingDate as DateConstructor;
  const hour = 3_600_000;
  const jump = () => {
    offsetMs = [-hour, 0, hour][Math.floor(Math.random() * 3)]!;
    setTimeout(jump, 200 + Math.random() * 1_000).unref();
  };
  jump();
}
