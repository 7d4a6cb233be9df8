/** The arithmetic of the timeline. */
import type { Graph, Node } from '../types.js';

export interface Span {
  readonly from: number;
  readonly to: number;
}

export interface Scale {
  /** Returns the position of a moment, from 0 to 1. */
  readonly shareOf: (moment: number) => number;
  /** The squeezed pauses: position of the middle, and real length. */
  readonly gaps: readonly { readonly at: number; readonly ms: number }[];
}

/** A pause longer than this share of the running time is squeezed to it. */
const GAP_SHARE = 0.05;

/** Returns a scale on which pauses in which nothing ran take little room. `waits` are shown too, but squeezed. */
export function squeezed(spans: readonly Span[], waits: readonly Span[] = []): Scale {
  const busy: { from: number; to: number }[] = [];
  const ends = [...spans, ...waits].flatMap(({ from, to }) => [from, to]);
  const bounds =
    waits.length === 0 ? [] : [smallest(ends), largest(ends)].map((at) => ({ from: at, to: at }));
  for (const { from, to } of [...spans, ...bounds].sort((a, b) => a.from - b.from)) {
    const last = busy.at(-1);
    if (last !== undefined && from <= last.to) last.to = Math.max(last.to, to);
    else busy.push({ from, to });
  }
  const running = busy.reduce((sum, { from, to }) => sum + to - from, 0);
  const mostGap = Math.max(1, running * GAP_SHARE);
  const blocks: { from: number; to: number; at: number; size: number }[] = [];
  let total = 0;
  for (const [index, { from, to }] of busy.entries()) {
    const before = busy[index - 1];
    if (before !== undefined) {
      const size = Math.min(from - before.to, mostGap);
      blocks.push({ from: before.to, to: from, at: total, size });
      total += size;
    }
    blocks.push({ from, to, at: total, size: to - from });
    total += to - from;
  }
  const whole = Math.max(1, total);
  return {
    shareOf(moment) {
      const block = blocks.find(({ to }) => moment <= to) ?? blocks.at(-1);
      if (block === undefined) return 0;
      const part = block.to === block.from ? 0 : (moment - block.from) / (block.to - block.from);
      return (block.at + Math.min(1, Math.max(0, part)) * block.size) / whole;
    },
    // If nothing ran, nothing is squeezed.
    gaps: (running === 0 ? [] : blocks)
      .filter(({ from, to, size }) => to - from > size)
      .map(({ from, to, at, size }) => ({ at: (at + size / 2) / whole, ms: to - from })),
  };
}

const smallest = (all: readonly number[]) => all.reduce((a, b) => Math.min(a, b));
const largest = (all: readonly number[]) => all.reduce((a, b) => Math.max(a, b));

/** What a step did in a time: `retried` is the time of earlier attempts and of the pauses after them. */
export type PartKind = 'queued' | 'retried' | 'slept' | 'waited' | 'ran';

interface Part extends Span {
  readonly kind: PartKind;
}

export interface Row {
  readonly node: Node;
  /** In their order, without gaps; at least one. */
  readonly parts: readonly Part[];
}

const ENDED: ReadonlySet<string> = new Set([
  'completed',
  'failed',
  'revoked',
  'expired',
  'skipped',
  'unknown',
]);

/** Returns the steps that have begun to wait or to run, the first one first. */
export function rowsOf(
  { nodes, edges }: Pick<Graph, 'nodes' | 'edges'>,
  sentAt: number,
  now: number,
): readonly Row[] {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const before = new Map<string, Node[]>();
  for (const { from, to } of edges) {
    const node = byId.get(from);
    if (node !== undefined) before.set(to, [...(before.get(to) ?? []), node]);
  }
  /** When a step could begin: after the end of the steps before it. */
  const readyAt = (node: Node): number | undefined => {
    const ends = (before.get(node.id) ?? []).map((each) => momentOf(each.finishedAt));
    return ends.includes(undefined) ? undefined : largest([sentAt, ...ends.map((end) => end ?? sentAt)]);
  };
  return nodes
    .map((node) => ({ node, parts: partsOf(node, readyAt(node), now) }))
    .filter(({ parts }) => parts.length > 0)
    .sort((a, b) => (a.parts[0]?.from ?? 0) - (b.parts[0]?.from ?? 0));
}

function partsOf(node: Node, ready: number | undefined, now: number): readonly Part[] {
  const { kind, state, attempts = 0 } = node;
  const [started, finished] = [momentOf(node.startedAt), momentOf(node.finishedAt)];
  const hasEnded = ENDED.has(state);
  if (kind !== undefined) {
    if (ready === undefined || state === 'pending' || (hasEnded && finished === undefined)) return [];
    return [part(kind === 'sleep' ? 'slept' : 'waited', ready, finished ?? now)];
  }
  const isBetweenAttempts = state === 'delayed' || state === 'waiting';
  // Of several jobs, one that was retried is not known.
  const earlier = node.count === undefined ? attempts - (hasEnded ? 1 : 0) : 0;
  const waitKind = earlier > 0 ? 'retried' : state === 'delayed' ? 'waited' : 'queued';
  if (started === undefined || (isBetweenAttempts && node.count === undefined)) {
    const from = ready ?? started;
    return from !== undefined && isBetweenAttempts ? [part(waitKind, from, now)] : [];
  }
  const ran = part('ran', started, finished ?? now);
  return ready === undefined || ready >= started ? [ran] : [part(waitKind, ready, started), ran];
}

/** Clocks of machines differ a little: nothing ends before it begins. */
const part = (kind: PartKind, from: number, to: number): Part => ({ kind, from, to: Math.max(from, to) });

function momentOf(time: string | undefined): number | undefined {
  const at = Date.parse(time ?? '');
  return Number.isNaN(at) ? undefined : at;
}

/** Returns the ids of the steps that decided when the run ended: each is the one before that ended last. */
export function criticalPath({ nodes, edges }: Pick<Graph, 'nodes' | 'edges'>): ReadonlySet<string> {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const endOf = (id: string) => Date.parse(byId.get(id)?.finishedAt ?? '');
  const latest = (ids: readonly string[]) =>
    ids
      .filter((id) => endOf(id) > 0)
      .reduce<string | undefined>(
        (best, id) => (best === undefined || endOf(id) > endOf(best) ? id : best),
        undefined,
      );
  const before = new Map<string, string[]>();
  for (const { from, to } of edges) before.set(to, [...(before.get(to) ?? []), from]);
  const path = new Set<string>();
  for (
    let id = latest(nodes.map((node) => node.id));
    id !== undefined && !path.has(id);
    id = latest(before.get(id) ?? [])
  )
    path.add(id);
  return path;
}
