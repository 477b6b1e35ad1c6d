// Read events: the server-sent events of a response, as they come.
import { createParser, type EventSourceMessage } from "eventsource-parser";

export async function* readEvents(response: Response): AsyncGenerator<EventSourceMessage, void> {
  const reader = response.body!.getReader();
  const decoder = new TextDecoder();
  let ready: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (message) => ready.push(message) });
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      parser.feed(decoder.decode(value, { stream: true }));
      const messages = ready;
      ready = [];
      yield* messages;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
