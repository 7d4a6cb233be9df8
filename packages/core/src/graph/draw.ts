/**
 * The tasks of a run, and which stands after which. What goes into a part comes out of it again: through its tasks if
 * it has any. A job of Umbel's own lets everything through; a fan-out gives it to what it adds, which goes on to the job
 * that waits for that:
 *
 * ```
 * y ◀─ fan-out ◀─ x          x ─▶ a ─▶ y
 * y ◀─ a, b                  x ─▶ b ─▶ y
 * ```
 */
import { folded } from './fold.js';
import type { EdgeKind, GraphEdge, GraphNode } from './node.js';
import type { Adds, Part } from './part.js';

/** An edge without its end. */
interface Tie {
  readonly from: string;
  readonly kind?: EdgeKind;
  readonly label?: string;
}

/** A part with what stands before it. */
interface Entry {
  readonly part: Part;
  readonly incoming: readonly Tie[];
}

export interface Drawn {
  /** Earlier tasks first. */
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
}

export function drawn(part: Part): Drawn {
  const drawing = new Drawing();
  drawing.through(part, []);
  return drawing;
}

class Drawing implements Drawn {
  readonly nodes: GraphNode[] = [];
  readonly edges: GraphEdge[] = [];
  readonly #ids = new Set<string>();
  readonly #known = new Set<string>();
  /** What was added below the parts that are just being drawn. */
  readonly #added = new Map<string, Entry[]>();

  /** Draws a part; gives what stands before the next one. */
  through(part: Part, incoming: readonly Tie[]): readonly Tie[] {
    // Down a chain and up again, and not call by call: it may be longer than the stack is deep.
    const line = [this.#open(part, incoming)];
    for (let step = line[0]; step?.part.before.length === 1; step = line.at(-1)) {
      const [before] = step.part.before;
      if (before !== undefined) line.push(this.#open(before, this.#before(before, step.incoming)));
    }
    let ties: readonly Tie[] = [];
    for (const { part: step, incoming: into, added } of line.toReversed()) {
      const { before } = step;
      const first =
        before.length === 1 ? ties : this.#all(before.map((each) => ({ part: each, incoming: into })));
      ties = this.#one(step, into, first, added);
    }
    return ties;
  }

  #open(part: Part, incoming: readonly Tie[]): Entry & { readonly added: readonly Entry[] } {
    const added: Entry[] = [];
    this.#added.set(part.id, added);
    return { part, incoming, added };
  }

  /** A part, once those that it waits for are drawn. */
  #one(part: Part, incoming: readonly Tie[], first: readonly Tie[], added: readonly Entry[]): readonly Tie[] {
    const later = this.#all(added);
    const isStart = part.before.length === 0 && added.length === 0;
    const passing = part.adds?.isDecided && later.length > 0 ? later : [...first, ...later];
    let ties = isStart ? incoming : passing;
    if (part.node !== undefined) ties = this.#task(part.node, ties);
    if (part.adds !== undefined) ties = this.#add(part.adds, ties);
    const own = ties;
    for (const { part: next, kind, joins } of part.followers ?? []) {
      const followed = this.through(
        next,
        own.map(({ from }) => ({ from, ...(kind !== undefined && { kind }) })),
      );
      if (joins === 'instead') ties = followed;
      if (joins === 'also') ties = [...ties, ...followed];
    }
    return ties;
  }

  #all(entries: readonly Entry[]): readonly Tie[] {
    const all = folded(entries, ({ incoming }) => JSON.stringify(incoming));
    return all.flatMap(({ part, incoming }) => this.through(part, this.#before(part, incoming)));
  }

  /** What stands before a part: if the member of a group has added it, that one. */
  #before({ addedBy }: Part, incoming: readonly Tie[]): readonly Tie[] {
    return addedBy !== undefined && this.#ids.has(addedBy) ? [{ from: addedBy }] : incoming;
  }

  #task(node: GraphNode, ties: readonly Tie[]): readonly Tie[] {
    this.#ids.add(node.id);
    this.nodes.push(node);
    for (const tie of ties) {
      const edge: GraphEdge = { ...tie, to: node.id };
      const key = JSON.stringify(edge);
      if (this.#known.has(key)) continue;
      this.#known.add(key);
      this.edges.push(edge);
    }
    return [{ from: node.id }];
  }

  #add({ below, parts, passes, isOptional }: Adds, ties: readonly Tie[]): readonly Tie[] {
    const added = this.#added.get(below);
    for (const { part, label } of parts) {
      const incoming = label === undefined ? ties : ties.map(({ from }) => ({ from, label }));
      added?.push({ part, incoming });
    }
    if (isOptional) return ties.map(({ from }) => ({ from, label: 'otherwise' }));
    return passes || parts.length === 0 ? ties : [];
  }
}
