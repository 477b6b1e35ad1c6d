// The customer list for the accountants: read page by page, so that it never holds the whole table in one result.
import { db } from "./database.ts";

const pageSize = 80;

/** All customers as CSV, in the order of their ids. */
export async function customersCsv(): Promise<string> {
  const lines = ["id,name,email,city"];
  let last = 0;
  for (;;) {
    const page = await db
      .selectFrom("customers")
      .select(["id", "name", "email", "city"])
      .where("id", ">", last)
      .orderBy("id")
      .limit(pageSize)
      .execute();
    for (const { id, name, email, city } of page) lines.push(`${id},${quoted(name)},${quoted(email)},${quoted(city)}`);
    if (page.length < pageSize) return `${lines.join("\n")}\n`;
    last = page[page.length - 1]?.id ?? last;
  }
}

const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
