// Route template of a URL path, for requests whose framework does not name one.

const identifier =
  /^(?:\d+|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{16,}|(?=.*\d)[0-9A-HJKMNP-TV-Z]{26}|(?=.*\d)[A-Za-z0-9_-]{20,}|[a-z]{2,12}_(?=[A-Za-z0-9]*\d)[A-Za-z0-9]{6,})$/i;

/**
 * The path with every segment that looks like an identifier (a number, a UUID, 16 or more hexadecimal digits, a ULID,
 * 20 or more characters with a digit, a prefixed id such as `ord_8fk2Lq91`) replaced by `:id`.
 *
 * @example
 * urlTemplate("/orders/42/items?page=2"); // "/orders/:id/items"
 */
export function urlTemplate(path: string): string {
  const end = path.search(/[?#]/);
  const bare = end < 0 ? path : path.slice(0, end);
  if (bare === "" || bare === "/") return "/";
  return bare
    .split("/")
    .map((segment) => (identifier.test(segment) ? ":id" : segment))
    .join("/");
}
