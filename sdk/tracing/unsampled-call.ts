// Unsampled call: hands on the decision of a trace that is not sampled, without the work of a span that nobody will see.
import { propagation, type TextMapSetter, trace } from "@opentelemetry/api";
import { isTracingSuppressed } from "@opentelemetry/core";
import { activeContext } from "./active-context.ts";
import type { UndiciRequestLike } from "./replay/original-url.ts";
import { UnsampledSpan } from "./span.ts";

/** Undici before 6.11.1 has no `addHeader` in some versions. */
interface WithHeaders extends UndiciRequestLike {
  addHeader?(name: string, value: string): unknown;
}

const setter: TextMapSetter<WithHeaders> = {
  set(request, name, value) {
    if (typeof request.addHeader === "function") request.addHeader(name, value);
    else if (typeof request.headers === "string") request.headers += `${name}: ${value}\r\n`;
    else request.headers.push(name, value);
  },
};

/** Whether the request belongs to a trace that is not sampled; then its headers say so from here on. */
export function handedOnUnsampled(request: UndiciRequestLike): boolean {
  const active = activeContext();
  if (!(trace.getSpan(active) instanceof UnsampledSpan) || isTracingSuppressed(active)) return false;
  propagation.inject(active, request, setter);
  return true;
}
