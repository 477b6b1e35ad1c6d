// The contract and the handler that both participants of the benchmark serve.
import { z } from "zod";

export const input = z.object({
  customerId: z.string().min(1),
  currency: z.enum(["EUR", "USD"]),
  items: z.array(z.object({ sku: z.string(), count: z.int().min(1), cents: z.int().min(0) })).min(1),
});

export const output = z.object({
  customerId: z.string(),
  totalCents: z.int(),
  lines: z.array(z.object({ sku: z.string(), cents: z.int() })),
});

export async function quote({ customerId, items }: z.output<typeof input>): Promise<z.input<typeof output>> {
  const lines = items.map(({ sku, count, cents }) => ({ sku, cents: count * cents }));
  return { customerId, totalCents: lines.reduce((sum, { cents }) => sum + cents, 0), lines };
}

export const body = JSON.stringify({
  customerId: "c1",
  currency: "EUR",
  items: [
    { sku: "book", count: 2, cents: 1_900 },
    { sku: "pen", count: 10, cents: 150 },
    { sku: "lamp", count: 1, cents: 8_900 },
  ],
});
