// Lines of a stream, as they end; a very long one comes in pieces, so that no program can fill the memory with one.
import { StringDecoder } from "node:string_decoder";

const longestLine = 16 * 1024;

export async function* linesOf(source: AsyncIterable<Buffer>): AsyncGenerator<string> {
  const decoder = new StringDecoder("utf8");
  let rest = "";
  for await (const chunk of source) {
    const lines = (rest + decoder.write(chunk)).split(/\r?\n/);
    rest = lines.pop() ?? "";
    yield* lines;
    for (; rest.length > longestLine; rest = rest.slice(longestLine)) yield rest.slice(0, longestLine);
  }
  rest += decoder.end();
  if (rest !== "") yield rest;
}
