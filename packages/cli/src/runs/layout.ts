/** A graph of steps as lines: what follows one after the other stands below each other, branches are set in. */
import type { GraphEdge, GraphNode } from '@umbel/core';

export interface Line {
  /** Of the tree: `├─ `, `│  `. */
  readonly prefix: string;
  /** How it comes after what stands above: a case of a match, a callback. */
  readonly label: string | undefined;
  readonly node: GraphNode;
  /** It stands above already, with all that follows. */
  readonly isRepeated: boolean;
}

interface Step {
  readonly at: number;
  readonly label: string | undefined;
}

/** Stands for the end of everything. */
const END = -1;

/** Every node once, but for those that several branches come to without an end in common. */
export function layOut(nodes: readonly GraphNode[], edges: readonly GraphEdge[]): Line[] {
  const indexes = new Map(nodes.map(({ id }, index) => [id, index]));
  const next: Step[][] = nodes.map(() => []);
  const hasEarlier = new Set<number>();
  for (const { from, to, kind, label } of edges) {
    const [a, b] = [indexes.get(from), indexes.get(to)];
    if (a === undefined || b === undefined || b <= a) continue; // earlier nodes come first
    next[a]?.push({ at: b, label: label ?? kind });
    hasEarlier.add(b);
  }
  const meets = meetingPoints(next);
  const first = nodes.flatMap((_, at) => (hasEarlier.has(at) ? [] : [{ at, label: undefined }]));
  return new Layout(nodes, next, meets).lines(first);
}

/** Where all ways from a node come together again: its nearest post-dominator. */
function meetingPoints(next: readonly (readonly Step[])[]): number[] {
  const meets = next.map(() => END);
  for (let at = next.length - 1; at >= 0; at -= 1) {
    const [one, ...others] = (next[at] ?? []).map((step) => step.at);
    meets[at] = others.reduce((a, b) => together(meets, a, b), one ?? END);
  }
  return meets;
}

function together(meets: readonly number[], one: number, other: number): number {
  let [a, b] = [one, other];
  while (a !== b) {
    if (a === END || b === END) return END;
    if (a < b) a = meets[a] ?? END;
    else b = meets[b] ?? END;
  }
  return a;
}

class Layout {
  readonly #lines: Line[] = [];
  readonly #seen = new Set<number>();

  constructor(
    readonly nodes: readonly GraphNode[],
    readonly next: readonly (readonly Step[])[],
    readonly meets: readonly number[],
  ) {}

  lines(first: readonly Step[]): Line[] {
    const meet = first.map(({ at }) => at).reduce((a, b) => together(this.meets, a, b), first[0]?.at ?? END);
    if (first.length === 1) this.#sequence(first[0] as Step, END, '', '');
    else {
      this.#branches(first, meet, '');
      if (meet !== END) this.#sequence({ at: meet, label: undefined }, END, '', '');
    }
    return this.#lines;
  }

  /** A step and what follows, up to where its branch ends. */
  #sequence(from: Step, end: number, firstPrefix: string, prefix: string): void {
    let step = from;
    let own = firstPrefix;
    while (step.at !== end && step.at !== END) {
      const node = this.nodes[step.at];
      if (node === undefined) return;
      const isRepeated = this.#seen.has(step.at);
      this.#seen.add(step.at);
      this.#lines.push({ prefix: own, label: step.label, node, isRepeated });
      if (isRepeated) return;
      own = prefix;
      const steps = this.next[step.at] ?? [];
      const [only, ...others] = steps;
      if (only !== undefined && others.length === 0) {
        step = only;
        continue;
      }
      const meet = this.meets[step.at] ?? END;
      this.#branches(
        steps.filter(({ at }) => at !== meet),
        meet,
        prefix,
      );
      step = { at: meet, label: undefined };
    }
  }

  #branches(steps: readonly Step[], meet: number, prefix: string): void {
    for (const [index, step] of steps.entries()) {
      const isLast = index === steps.length - 1;
      this.#sequence(step, meet, `${prefix}${isLast ? '└─ ' : '├─ '}`, `${prefix}${isLast ? '   ' : '│  '}`);
    }
  }
}
