// Linked context: OpenTelemetry's Context as a chain, because a copy of a Map for each request and span is dear.
import { type Context, ROOT_CONTEXT } from "@opentelemetry/api";

// A chain that code keeps adding to is copied into a Map at this length: it must not grow with the life of a process.
const longestChain = 24;

class LinkedContext implements Context {
  readonly key: symbol;
  readonly value: unknown;
  readonly parent: Context;
  readonly length: number;

  constructor(key: symbol, value: unknown, parent: Context) {
    this.key = key;
    this.value = value;
    this.parent = parent;
    this.length = parent instanceof LinkedContext ? parent.length + 1 : 1;
  }

  getValue(key: symbol): unknown {
    let context: Context = this;
    while (context instanceof LinkedContext) {
      if (context.key === key) return context.value;
      context = context.parent;
    }
    return context.getValue(key);
  }

  setValue(key: symbol, value: unknown): Context {
    if (key === this.key) return new LinkedContext(key, value, this.parent);
    if (this.length < longestChain) return new LinkedContext(key, value, this);
    return new LinkedContext(key, value, this.#copied());
  }

  deleteValue(key: symbol): Context {
    return this.setValue(key, undefined);
  }

  #copied(): Context {
    const links: LinkedContext[] = [];
    let context: Context = this;
    while (context instanceof LinkedContext) {
      links.push(context);
      context = context.parent;
    }
    for (const link of links.reverse()) context = context.setValue(link.key, link.value);
    return context;
  }
}

/** Where the contexts of requests begin: empty, and cheap to add to. */
export const linkedRoot: Context = {
  getValue: (key) => ROOT_CONTEXT.getValue(key),
  setValue: (key, value) => new LinkedContext(key, value, ROOT_CONTEXT),
  deleteValue: () => linkedRoot,
};
