// Layout of the service map: places for nodes and ways for edges, callers before those they call.
import { Graph, layout } from "@dagrejs/dagre";
import type { ServiceMap } from "../api/types.ts";

export const nodeSize = { width: 190, height: 62 };
const labelSize = { width: 104, height: 30 };

export type MapNode = ServiceMap["nodes"][number];
export type MapEdge = ServiceMap["edges"][number];

export interface Placed {
  width: number;
  height: number;
  nodes: { node: MapNode; x: number; y: number }[];
  edges: { edge: MapEdge; path: string; x: number; y: number }[];
}

/** Places are middles, in pixels. */
export function place({ nodes, edges }: ServiceMap, direction: "LR" | "TB"): Placed {
  const graph = new Graph({ multigraph: false });
  graph.setGraph({
    rankdir: direction,
    nodesep: 26,
    ranksep: direction === "LR" ? 50 : 40,
    edgesep: 14,
    marginx: 10,
    marginy: 10,
  });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const node of nodes) graph.setNode(node.name, { ...nodeSize });
  for (const edge of edges) graph.setEdge(edge.from, edge.to, { ...labelSize, labelpos: "c" });
  layout(graph);
  const { width = 0, height = 0 } = graph.graph() as { width?: number; height?: number };
  return {
    width: Math.max(width, nodeSize.width + 20),
    height: Math.max(height, nodeSize.height + 20),
    nodes: nodes.map((node) => {
      const { x, y } = graph.node(node.name) as { x: number; y: number };
      return { node, x, y };
    }),
    edges: edges.map((edge) => {
      const laid = graph.edge(edge.from, edge.to) as { points: Point[]; x: number; y: number };
      return { edge, path: curve(laid.points), x: laid.x, y: laid.y };
    }),
  };
}

interface Point {
  x: number;
  y: number;
}

/** Through the middles between the points, so that there is no corner. */
function curve(points: Point[]): string {
  const [first, ...rest] = points;
  if (!first) return "";
  let path = `M${first.x},${first.y}`;
  rest.forEach((point, index) => {
    const next = rest[index + 1];
    if (!next) path += ` L${point.x},${point.y}`;
    else path += ` Q${point.x},${point.y} ${(point.x + next.x) / 2},${(point.y + next.y) / 2}`;
  });
  return path;
}
