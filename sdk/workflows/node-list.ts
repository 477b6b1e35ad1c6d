// Node list: the nodes of a chain with their code. Chains that go on from one another share it and append; one that goes
// on where another already did gets a copy. So a chain of n nodes costs n, and the chain before is as it was.
import { TsdevError } from "../errors.ts";
import { bodiesOf, type NodeIr } from "../ir/ir.ts";
import type { NodeCode } from "./definition.ts";

/** A node, and the code of it and of the nodes inside it. */
export interface Link {
  readonly node: NodeIr;
  readonly code: readonly (readonly [id: string, code: NodeCode])[];
}

interface Shared {
  readonly links: Link[];
  /** The place in `links` of the node that has an id, itself or inside it. */
  readonly places: Map<string, number>;
}

export class NodeList {
  readonly #shared: Shared;
  readonly #length: number;
  readonly #workflow: string;
  /** Not among the shared ones, since a modifier puts another in its place. */
  readonly last: Link | undefined;

  private constructor(workflow: string, shared: Shared, length: number, last: Link | undefined) {
    this.#workflow = workflow;
    this.#shared = shared;
    this.#length = length;
    this.last = last;
  }

  static empty(workflow: string): NodeList {
    return new NodeList(workflow, { links: [], places: new Map() }, 0, undefined);
  }

  get links(): readonly Link[] {
    const before = this.#shared.links.slice(0, this.#length);
    return this.last ? [...before, this.last] : before;
  }

  /** Throws `duplicate_name` when one of the ids is there already. */
  append(link: Link): NodeList {
    const shared = this.last ? this.#withLast(this.last) : this.#shared;
    const length = this.last ? this.#length + 1 : this.#length;
    const own = new Set<string>();
    for (const id of idsOf(link.node)) {
      if (own.has(id) || (shared.places.get(id) ?? length) < length) throw duplicate(this.#workflow, id);
      own.add(id);
    }
    return new NodeList(this.#workflow, shared, length, link);
  }

  /** Puts another link in the place of the last one. Throws `duplicate_name`. */
  replaceLast(link: Link): NodeList {
    return new NodeList(this.#workflow, this.#shared, this.#length, undefined).append(link);
  }

  #withLast(last: Link): Shared {
    let shared = this.#shared;
    if (shared.links.length === this.#length) {
      // Nobody went on from here yet.
    } else if (shared.links[this.#length] === last) {
      return shared;
    } else {
      const links = shared.links.slice(0, this.#length);
      shared = { links, places: new Map([...shared.places].filter(([, place]) => place < this.#length)) };
    }
    shared.links.push(last);
    for (const id of idsOf(last.node)) shared.places.set(id, this.#length);
    return shared;
  }
}

/** The ids of a node and of all inside it. */
export function idsOf(node: NodeIr): string[] {
  return [node.id, ...bodiesOf(node).flatMap((nodes) => nodes.flatMap(idsOf))];
}

function duplicate(workflow: string, id: string): TsdevError {
  return new TsdevError("duplicate_name", {
    message: `workflow "${workflow}" has two nodes with the id "${id}"`,
    fix: "give one of them another id: a step with { as }, every other node by its name",
  });
}
