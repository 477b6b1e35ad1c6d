// Row buffers: the memory of a request's rows, which the next request takes once they are stored.

/** A buffer is a power of two of bytes between these; others are made and dropped. */
const smallest = 64 * 1024;
const largest = 8 * 1024 * 1024;
/** Most bytes that lie ready, over all sizes. */
const readyLimit = 32 * 1024 * 1024;

const ready = new Map<number, Buffer[]>();
/** The memory that is in use, so that nothing is taken back twice or of somebody else's. */
const inUse = new WeakSet<ArrayBufferLike>();
let readyBytes = 0;

/**
 * At least so many bytes, whose contents mean nothing. Memory outside V8's heap makes it collect the whole heap the sooner
 * the more there is of it: with a buffer made for each request of 500 spans that was several times a second, and a fifth of
 * what a span cost.
 */
export function takeBuffer(atLeast: number): Buffer {
  if (atLeast < smallest || atLeast > largest) return Buffer.allocUnsafeSlow(atLeast);
  const size = 2 ** Math.ceil(Math.log2(atLeast));
  const waiting = ready.get(size)?.pop();
  if (waiting !== undefined) readyBytes -= size;
  const buffer = waiting ?? Buffer.allocUnsafeSlow(size);
  inUse.add(buffer.buffer);
  return buffer;
}

/** Takes back what rows were written into. Nobody may read or write them after it; to give nothing back is allowed. */
export function giveBack(rows: Buffer): void {
  const memory = rows.buffer;
  const size = memory.byteLength;
  if (!inUse.delete(memory) || readyBytes + size > readyLimit) return;
  const waiting = ready.get(size) ?? [];
  waiting.push(Buffer.from(memory));
  ready.set(size, waiting);
  readyBytes += size;
}
