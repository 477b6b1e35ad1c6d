// Path: a node's place in a run: its id after the iterations it is in, such as `texts[3]/words[0]/count`.
import { bodiesOf, type NodeIr, type WorkflowIr } from "../ir/ir.ts";

interface Segment {
  readonly id: string;
  readonly iteration: number | undefined;
}

function segmentsOf(path: string): Segment[] {
  return path.split("/").map((text) => {
    const iteration = /\[(\d+)\]$/.exec(text);
    return iteration
      ? { id: text.slice(0, iteration.index), iteration: Number(iteration[1]) }
      : { id: text, iteration: undefined };
  });
}

/** The id of the node at the path. */
export function nodeIdOf(path: string): string {
  return segmentsOf(path).at(-1)!.id;
}

function isIterating(op: NodeIr["op"]): boolean {
  return op === "each" || op === "repeat";
}

interface Order {
  readonly place: number;
  readonly op: NodeIr["op"];
  /** An `.each` that goes on when an item fails. */
  readonly collects: boolean;
  /** The id of the parallel node around it. */
  readonly parallel: string | undefined;
  /** The ids of the iterating nodes around it, the outermost first. */
  readonly around: readonly string[];
}

/** Whether paths are at a node, below it, or after it in the order of the source. */
export class PathOrder {
  readonly #orders = new Map<string, Order>();

  constructor(ir: WorkflowIr) {
    const walk = (nodes: readonly NodeIr[], parallel: string | undefined, around: readonly string[]) => {
      for (const node of nodes) {
        this.#orders.set(node.id, {
          place: this.#orders.size,
          op: node.op,
          collects: node.op === "each" && node.onError === "collect",
          parallel,
          around,
        });
        const inside = isIterating(node.op) ? [...around, node.id] : around;
        for (const body of bodiesOf(node)) walk(body, node.op === "parallel" ? node.id : undefined, inside);
      }
    };
    walk(ir.nodes, undefined, []);
  }

  /** True for the path of a node, or of an item or a round; whether there are so many is not looked at. */
  has(path: string): boolean {
    const segments = segmentsOf(path);
    const last = segments.pop()!;
    const order = this.#orders.get(last.id);
    if (!order || (last.iteration !== undefined && !isIterating(order.op))) return false;
    return (
      segments.length === order.around.length &&
      segments.every(({ id, iteration }, level) => iteration !== undefined && id === order.around[level])
    );
  }

  /** True when a failure of the path is one of an item whose list goes on. */
  isCollected(path: string): boolean {
    return segmentsOf(path).some(({ id, iteration }) => iteration !== undefined && this.#orders.get(id)?.collects);
  }

  /** True when `path` is `from`, is in it, or comes after it. Other items of an `.each` and other branches do not. */
  isAtOrAfter(path: string, from: string): boolean {
    const [here, there] = [segmentsOf(path), segmentsOf(from)];
    for (const [level, segment] of here.entries()) {
      const other = there[level];
      if (other === undefined) return true;
      if (segment.id !== other.id) {
        const [own, its] = [this.#orders.get(segment.id), this.#orders.get(other.id)];
        if (!own || !its || (own.parallel !== undefined && own.parallel === its.parallel)) return false;
        return own.place > its.place;
      }
      if (other.iteration === undefined) continue;
      if (segment.iteration === undefined) return false;
      if (segment.iteration !== other.iteration) {
        return this.#orders.get(segment.id)?.op === "repeat" && segment.iteration > other.iteration;
      }
    }
    return here.length >= there.length;
  }
}
