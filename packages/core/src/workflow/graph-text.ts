/** What the drawings of a graph have in common. */
import { isJobState } from '../job/states.js';
import type { Adds, EdgeKind, GraphEdge, GraphNode, Part } from './graph-parts.js';
import { folded } from './graph-tally.js';

/** What is drawn. */
export interface Picture {
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
}

/** Fill and border of each state. */
export const COLORS: Readonly<Record<string, readonly [fill: string, border: string]>> = {
  pending: ['#f4f4f5', '#a1a1aa'],
  waiting: ['#e0e7ff', '#6366f1'],
  'waiting-children': ['#f4f4f5', '#a1a1aa'],
  delayed: ['#fef3c7', '#d97706'],
  active: ['#dbeafe', '#2563eb'],
  completed: ['#dcfce7', '#16a34a'],
  failed: ['#fee2e2', '#dc2626'],
  expired: ['#ffedd5', '#ea580c'],
  revoked: ['#fce7f3', '#db2777'],
  skipped: ['#ffffff', '#d4d4d8'],
  unknown: ['#ffffff', '#71717a'],
};

/** The state of every job that a node is in: one of the task's own is shown while it runs. */
export function shownState({ state }: GraphNode): string {
  return state === 'pending' || isJobState(state) ? state : 'active';
}

/** The label of a node, with the number of jobs that it stands for, and how many of them have ended how. */
export function captionOf({ label, count, isEach, counts }: GraphNode): string {
  if (isEach) return `${label} × n`;
  if (count === undefined) return label;
  const states = Object.entries(counts ?? {}).map(([state, jobs]) => `${jobs} ${state}`);
  return states.length > 1 ? `${label} × ${count} (${states.join(', ')})` : `${label} × ${count}`;
}

/** What is written at an edge. */
export function edgeCaption({ kind, label }: GraphEdge): string | undefined {
  return label ?? kind;
}

/** The lines of a text, without what cannot be shown. */
export function linesOf(text: string): string[] {
  return text.split(/\r\n|\r|\n/).map((line) => line.replace(/\p{Cc}/gu, ' '));
}

/** Names of the nodes in a drawing: what their ids hold would have a meaning there. */
export function namesOf(nodes: readonly GraphNode[]): ReadonlyMap<string, string> {
  return new Map(nodes.map(({ id }, index) => [id, `n${index}`]));
}

// The tasks of a run, and which stands after which. What goes into a part comes out of it again: through its tasks if
// it has any. A job of Umbel's own lets everything through; a fan-out gives it to what it adds, which goes on to the job
// that waits for that:
// ```
// y ◀─ fan-out ◀─ x          x ─▶ a ─▶ y
// y ◀─ a, b                  x ─▶ b ─▶ y
// ```

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

/** The graph as a `digraph`. @see https://graphviz.org/doc/info/lang.html */
export function dotOf({ nodes, edges }: Picture): string {
  const names = namesOf(nodes);
  return [
    'digraph run {',
    '  rankdir=LR;',
    '  node [shape=box, style="rounded,filled"];',
    ...nodes.map((node) => {
      const state = shownState(node);
      const [fill, border] = COLORS[state] ?? ['#ffffff', '#71717a'];
      return `  ${names.get(node.id)} [label=${quoted(captionOf(node))}, class=${quoted(state)}, fillcolor="${fill}", color="${border}"];`;
    }),
    ...edges.map((edge) => {
      const caption = edgeCaption(edge);
      const attributes = [
        ...(caption === undefined ? [] : [`label=${quoted(caption)}`]),
        ...(edge.kind === undefined ? [] : ['style=dashed']),
      ];
      const list = attributes.length === 0 ? '' : ` [${attributes.join(', ')}]`;
      return `  ${names.get(edge.from)} -> ${names.get(edge.to)}${list};`;
    }),
    '}',
    '',
  ].join('\n');
}

/** Text as Graphviz reads it: a backslash begins an escape, and so does `&`. */
function quoted(text: string): string {
  const line = (part: string) => part.replace(/["\\]/g, '\\$&').replaceAll('&', '&amp;');
  return `"${linesOf(text).map(line).join('\\n')}"`;
}

/** The graph as a `flowchart LR`. @see https://mermaid.js.org/syntax/flowchart.html */
export function mermaidOf({ nodes, edges }: Picture): string {
  const names = namesOf(nodes);
  const states = new Set(nodes.map(shownState));
  return [
    'flowchart LR',
    ...nodes.map(
      (node) => `  ${names.get(node.id)}["${escaped(captionOf(node))}"]:::${classOf(shownState(node))}`,
    ),
    ...edges.map((edge) => {
      const caption = edgeCaption(edge);
      const arrow = edge.kind === undefined ? '-->' : '-.->';
      const label = caption === undefined ? '' : `|"${escaped(caption)}"|`;
      return `  ${names.get(edge.from)} ${arrow}${label} ${names.get(edge.to)}`;
    }),
    ...[...states].map((state) => {
      const [fill, border] = COLORS[state] ?? ['#ffffff', '#71717a'];
      return `  classDef ${classOf(state)} fill:${fill},stroke:${border},color:#18181b`;
    }),
    '',
  ].join('\n');
}

/** A class of Mermaid has no hyphen in its name. */
function classOf(state: string): string {
  return state.replaceAll('-', '_');
}

/** Text between quotes: whatever could have a meaning for Mermaid, Markdown or HTML is written as its number. */
function escaped(text: string): string {
  const line = (part: string) =>
    part.replace(/[^\p{L}\p{N} ×.,:_/()-]/gu, (sign) => `#${sign.codePointAt(0)};`);
  return linesOf(text).map(line).join('<br/>');
}
