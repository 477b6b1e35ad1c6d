// Route templates by looks: identifiers are replaced, words are kept.
import { expect, test } from "vitest";
import { urlTemplate } from "./route.ts";

test.each([
  ["/", "/"],
  ["", "/"],
  ["/orders", "/orders"],
  ["/orders/42?page=2", "/orders/:id"],
  ["/orders/8f14e45f-ceea-467f-a8d2-5a0c1b1c2d3e/items/7", "/orders/:id/items/:id"],
  ["/commits/9f86d081884c7d65", "/commits/:id"],
  ["/t/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/t/:id"],
  ["/users/ord_8fk2Lq91", "/users/:id"],
  ["/files/V1StGXR8_Z5jdHi6B-myT", "/files/:id"],
  ["/api/v1/order-processing/terms_of_service", "/api/v1/order-processing/terms_of_service"],
])("%s is %s", (path, template) => {
  expect(urlTemplate(path)).toBe(template);
});
