/** The arithmetic of the timeline. */
import type { Graph } from '../types.js';

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

/** Returns a scale on which pauses in which nothing ran take little room. */
export function squeezed(spans: readonly Span[]): Scale {
  const busy: { from: number; to: number }[] = [];
  for (const { from, to } of [...spans].sort((a, b) => a.from - b.from)) {
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
    gaps: blocks
      .filter(({ from, to, size }) => to - from > size)
      .map(({ from, to, at, size }) => ({ at: (at + size / 2) / whole, ms: to - from })),
  };
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
