/** Draws a workflow graph: converts parts to nodes and edges, and writes them as Graphviz or Mermaid text. */
import { isJobState } from '../job/states.js';
import type { Adds, EdgeKind, GraphEdge, GraphNode, Part } from './graph-parts.js';
import { folded } from './graph-tally.js';

/** The nodes and edges of a graph. */
export interface Picture {
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
}

/** Fill and border colour of each state. */
const COLORS: Readonly<Record<string, readonly [fill: string, border: string]>> = {
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

/** Returns the built-in state of a node. Only active jobs have a custom state. */
function shownState({ state }: GraphNode): string {
  return state === 'pending' || isJobState(state) ? state : 'active';
}

/** Returns the label of a node, with the number of its jobs by state if there are several. */
function captionOf({ label, count, isEach, counts }: GraphNode): string {
  if (isEach) return `${label} × n`;
  if (count === undefined) return label;
  const states = Object.entries(counts ?? {}).map(([state, jobs]) => `${jobs} ${state}`);
  return states.length > 1 ? `${label} × ${count} (${states.join(', ')})` : `${label} × ${count}`;
}

/** Returns the text at an edge. */
function edgeCaption({ kind, label }: GraphEdge): string | undefined {
  return label ?? kind;
}

/** Returns the lines of a text, without control characters. */
function linesOf(text: string): string[] {
  return text.split(/\r\n|\r|\n/).map((line) => line.replace(/\p{Cc}/gu, ' '));
}

/** Returns names for the nodes. Their ids contain characters with a meaning in Graphviz and Mermaid. */
function namesOf(nodes: readonly GraphNode[]): ReadonlyMap<string, string> {
  return new Map(nodes.map(({ id }, index) => [id, `n${index}`]));
}

// From parts to nodes and edges. Each part receives incoming edges and returns outgoing edges. A task's node ends and starts
// edges. An internal job passes them through. A fan-out passes them to the parts it adds, whose outgoing edges continue to
// the job that waits for them:
// ```
// y ◀─ fan-out ◀─ x          x ─▶ a ─▶ y
// y ◀─ a, b                  x ─▶ b ─▶ y
// ```

/** An edge without its target. */
interface OpenEdge {
  readonly from: string;
  readonly kind?: EdgeKind;
  readonly label?: string;
}

/** A part with its incoming edges. */
interface Entry {
  readonly part: Part;
  readonly incoming: readonly OpenEdge[];
}

export interface Drawn {
  /** Earlier tasks first. */
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
}

/** Returns the nodes and edges of a part. */
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
  /** Parts that fan-outs have added, by the id of the part that waits for them. */
  readonly #added = new Map<string, Entry[]>();

  /** Draws a part and returns its outgoing edges. */
  through(part: Part, incoming: readonly OpenEdge[]): readonly OpenEdge[] {
    // A loop down the chain and up again instead of recursion, because a long chain would overflow the stack.
    const line = [this.#open(part, incoming)];
    for (let step = line[0]; step?.part.before.length === 1; step = line.at(-1)) {
      const [before] = step.part.before;
      if (before !== undefined) line.push(this.#open(before, this.#before(before, step.incoming)));
    }
    let outgoing: readonly OpenEdge[] = [];
    for (const { part: step, incoming: into, added } of line.toReversed()) {
      const { before } = step;
      const first =
        before.length === 1 ? outgoing : this.#all(before.map((each) => ({ part: each, incoming: into })));
      outgoing = this.#one(step, into, first, added);
    }
    return outgoing;
  }

  #open(part: Part, incoming: readonly OpenEdge[]): Entry & { readonly added: readonly Entry[] } {
    const added: Entry[] = [];
    this.#added.set(part.id, added);
    return { part, incoming, added };
  }

  /** Draws one part after the parts that it waits for. */
  #one(
    part: Part,
    incoming: readonly OpenEdge[],
    first: readonly OpenEdge[],
    added: readonly Entry[],
  ): readonly OpenEdge[] {
    const later = this.#all(added);
    const isStart = part.before.length === 0 && added.length === 0;
    const passing = part.adds?.isDecided && later.length > 0 ? later : [...first, ...later];
    let outgoing = isStart ? incoming : passing;
    if (part.node !== undefined) outgoing = this.#task(part.node, outgoing);
    if (part.adds !== undefined) outgoing = this.#add(part.adds, outgoing);
    const jobEdges = outgoing;
    for (const { part: next, kind, joins } of part.followers ?? []) {
      const followed = this.through(
        next,
        jobEdges.map(({ from }) => ({ from, ...(kind !== undefined && { kind }) })),
      );
      if (joins === 'instead') outgoing = followed;
      if (joins === 'also') outgoing = [...outgoing, ...followed];
    }
    return outgoing;
  }

  #all(entries: readonly Entry[]): readonly OpenEdge[] {
    const all = folded(entries, ({ incoming }) => JSON.stringify(incoming));
    return all.flatMap(({ part, incoming }) => this.through(part, this.#before(part, incoming)));
  }

  /** Returns the incoming edges of a part. A member that was added by another member has one edge, from that member. */
  #before({ addedBy }: Part, incoming: readonly OpenEdge[]): readonly OpenEdge[] {
    return addedBy !== undefined && this.#ids.has(addedBy) ? [{ from: addedBy }] : incoming;
  }

  #task(node: GraphNode, incoming: readonly OpenEdge[]): readonly OpenEdge[] {
    this.#ids.add(node.id);
    this.nodes.push(node);
    for (const open of incoming) {
      const edge: GraphEdge = { ...open, to: node.id };
      const key = JSON.stringify(edge);
      if (this.#known.has(key)) continue;
      this.#known.add(key);
      this.edges.push(edge);
    }
    return [{ from: node.id }];
  }

  #add({ below, parts, passes, isOptional }: Adds, incoming: readonly OpenEdge[]): readonly OpenEdge[] {
    const added = this.#added.get(below);
    for (const { part, label } of parts) {
      const labelled = label === undefined ? incoming : incoming.map(({ from }) => ({ from, label }));
      added?.push({ part, incoming: labelled });
    }
    if (isOptional) return incoming.map(({ from }) => ({ from, label: 'otherwise' }));
    return passes || parts.length === 0 ? incoming : [];
  }
}

/** Writes the graph as a `digraph` of Graphviz. @see https://graphviz.org/doc/info/lang.html */
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

/** Quotes text for Graphviz, where a backslash and `&` begin escapes. */
function quoted(text: string): string {
  const line = (part: string) => part.replace(/["\\]/g, '\\$&').replaceAll('&', '&amp;');
  return `"${linesOf(text).map(line).join('\\n')}"`;
}

/** Writes the graph as a `flowchart LR` of Mermaid. @see https://mermaid.js.org/syntax/flowchart.html */
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

/** Returns the Mermaid class of a state. Class names cannot contain a hyphen. */
function classOf(state: string): string {
  return state.replaceAll('-', '_');
}

/** Escapes text between quotes: every character with a meaning in Mermaid, Markdown or HTML is written as its number. */
function escaped(text: string): string {
  const line = (part: string) =>
    part.replace(/[^\p{L}\p{N} ×.,:_/()-]/gu, (character) => `#${character.codePointAt(0)};`);
  return linesOf(text).map(line).join('<br/>');
}
