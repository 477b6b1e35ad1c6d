// Mermaid: a workflow's graph as a flowchart that Markdown viewers draw.
import type { NodeIr, WorkflowIr } from "../ir/ir.ts";

/** Where the next node is entered from; `label` says under which condition. */
interface Exit {
  readonly from: string;
  readonly label?: string;
}

/** Every node, with branches, loops and waits; names of the app are data and cannot break out of their labels. */
export function toMermaid({ ir }: { ir: WorkflowIr }): string {
  const chart = new Chart();
  const start = chart.node("([", ir.name, "])");
  const exits = chart.sequence(ir.nodes, [{ from: start }]);
  chart.enter(chart.node("([", "done", "])"), exits);
  return chart.text();
}

class Chart {
  readonly #lines: string[] = [];
  #count = 0;
  #depth = 1;

  text(): string {
    return `flowchart TD\n${this.#lines.join("\n")}\n`;
  }

  sequence(nodes: readonly NodeIr[], before: readonly Exit[]): readonly Exit[] {
    return nodes.reduce<readonly Exit[]>((exits, node) => this.#draw(node, exits), before);
  }

  node(open: string, label: string, close: string): string {
    const id = `n${this.#count++}`;
    this.#line(`${id}${open}"${escaped(label)}"${close}`);
    return id;
  }

  enter(id: string, exits: readonly Exit[]): void {
    for (const { from, label } of exits) {
      this.#line(label === undefined ? `${from} --> ${id}` : `${from} -->|"${escaped(label)}"| ${id}`);
    }
  }

  #draw(node: NodeIr, before: readonly Exit[]): readonly Exit[] {
    switch (node.op) {
      case "step":
        return this.#single("[", labelOfStep(node), "]", before);
      case "run":
        return this.#single("[[", node.id, "]]", before);
      case "call":
        return this.#single("[[", `call ${node.workflow}${node.as ? ` as ${node.as}` : ""}`, "]]", before);
      case "sleep":
        return this.#single(
          "{{",
          `${node.id}: sleep ${node.ms === undefined ? "until a time" : `${node.ms} ms`}`,
          "}}",
          before,
        );
      case "waitFor":
        return this.#single("{{", `${node.id}: wait for ${node.event}${within(node.timeoutMs)}`, "}}", before);
      case "approve":
        return this.#single("{{", `${node.id}: approval${within(node.timeoutMs)}`, "}}", before);
      case "parallel":
        return node.branches.flatMap((branch) => this.#draw(branch, before));
      case "when": {
        const id = this.#decision(node.id, before);
        const then = this.sequence(node.then, [{ from: id, label: "yes" }]);
        const no = [{ from: id, label: "no" }];
        return [...then, ...(node.otherwise ? this.sequence(node.otherwise, no) : no)];
      }
      case "match": {
        const id = this.#decision(node.id, before);
        const cases = node.cases.flatMap((one) => this.sequence(one.nodes, [{ from: id, label: one.case }]));
        return [...cases, ...(node.otherwise ? this.sequence(node.otherwise, [{ from: id, label: "otherwise" }]) : [])];
      }
      case "each":
        return this.#loop(
          `${node.id}: for each item${node.concurrency ? `, ${node.concurrency} at a time` : ""}`,
          node.nodes,
          before,
        );
      case "repeat":
        return this.#loop(`${node.id}: repeat, at most ${node.maxTimes} times`, node.nodes, before);
    }
  }

  #single(open: string, label: string, close: string, before: readonly Exit[]): readonly Exit[] {
    const id = this.node(open, label, close);
    this.enter(id, before);
    return [{ from: id }];
  }

  #decision(id: string, before: readonly Exit[]): string {
    const made = this.node("{", id, "}");
    this.enter(made, before);
    return made;
  }

  #loop(label: string, nodes: readonly NodeIr[], before: readonly Exit[]): readonly Exit[] {
    const id = `n${this.#count++}`;
    this.#line(`subgraph ${id}["${escaped(label)}"]`);
    this.#depth += 1;
    const first = this.node("([", "begin", "])");
    const exits = this.sequence(nodes, [{ from: first }]);
    this.enter(
      first,
      exits.map(({ from, label: on }) => ({ from, label: on === undefined ? "again" : `${on}, again` })),
    );
    this.#depth -= 1;
    this.#line("end");
    this.enter(id, before);
    return [{ from: id }];
  }

  #line(text: string): void {
    this.#lines.push(`${"  ".repeat(this.#depth)}${text}`);
  }
}

function labelOfStep(node: {
  id: string;
  procedure: string;
  retry?: { maxAttempts: number };
  compensate?: { procedure: string };
}): string {
  const parts = [node.id === node.procedure ? node.id : `${node.id}: ${node.procedure}`];
  if (node.retry) parts.push(`up to ${node.retry.maxAttempts} attempts`);
  if (node.compensate) parts.push(`undone by ${node.compensate.procedure}`);
  return parts.join(", ");
}

function within(ms: number | undefined): string {
  return ms === undefined ? "" : ` within ${ms} ms`;
}

/** Mermaid's entities: everything that could end a label or be read as markup. */
function escaped(text: string): string {
  return [...text.replaceAll(/\s+/g, " ")]
    .map((char) => (/[\p{L}\p{N} .,:;_/+()-]/u.test(char) && char !== ";" ? char : `#${char.codePointAt(0)};`))
    .join("");
}
