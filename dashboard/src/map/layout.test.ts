// Layout of the service map: callers stand before those they call, nothing lies upon another, circles are drawn as well.
import { expect, test } from "vitest";
import { nodeSize, place } from "./layout.ts";

const node = (name: string) => ({ name, kind: "service" as const, requests: 1, errors: 0, p95Ms: 1 });
const edge = (from: string, to: string) => ({ from, to, requests: 1, errors: 0, p95Ms: 1 });

test("a caller stands left of what it calls, and no node lies upon another", () => {
  const { nodes, edges } = place(
    {
      nodes: ["gateway", "orders", "billing", "postgresql/shop"].map(node),
      edges: [edge("gateway", "orders"), edge("gateway", "billing"), edge("orders", "postgresql/shop")],
    },
    "LR",
  );
  const at = new Map(nodes.map(({ node, x, y }) => [node.name, { x, y }]));
  for (const { edge } of edges) expect(at.get(edge.from)!.x).toBeLessThan(at.get(edge.to)!.x);
  for (const one of nodes) {
    for (const other of nodes) {
      if (one === other) continue;
      const apart = Math.abs(one.x - other.x) >= nodeSize.width || Math.abs(one.y - other.y) >= nodeSize.height;
      expect(apart, `${one.node.name} and ${other.node.name}`).toBe(true);
    }
  }
});

test("services that call each other, and one that is alone, have their places", () => {
  const { nodes, edges } = place(
    { nodes: ["a", "b", "alone"].map(node), edges: [edge("a", "b"), edge("b", "a")] },
    "TB",
  );
  expect(nodes.every(({ x, y }) => Number.isFinite(x) && Number.isFinite(y))).toBe(true);
  expect(edges.map(({ path }) => path.length > 10)).toEqual([true, true]);
});
