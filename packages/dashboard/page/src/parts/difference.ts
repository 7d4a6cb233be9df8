/** Compares two runs: their steps by position, and their results value by value. */
import type { Node } from '../types.js';

/** A step of both runs, or of one of them. */
export interface StepPair {
  /** The id without that of the run: equal for the same step of two runs of one workflow. */
  readonly position: string;
  readonly a?: Node;
  readonly b?: Node;
}

/** Returns the steps of both runs in the order of the first one, then those that only the second one has. */
export function pairedSteps(
  [runA, nodesA]: readonly [run: string, nodes: readonly Node[]],
  [runB, nodesB]: readonly [run: string, nodes: readonly Node[]],
): readonly StepPair[] {
  const positionOf = (run: string, { id }: Node) => (id.startsWith(run) ? id.slice(run.length) : id);
  const pairs = new Map<string, StepPair>();
  for (const a of nodesA) {
    const position = positionOf(runA, a);
    pairs.set(position, { position, a });
  }
  for (const b of nodesB) {
    const position = positionOf(runB, b);
    pairs.set(position, { ...(pairs.get(position) ?? { position }), b });
  }
  return [...pairs.values()];
}

/** Whether the two runs differ in this step: in what it is, how it ended, or its error. Times always differ. */
export function isDifferent({ a, b }: StepPair): boolean {
  if (a === undefined || b === undefined) return true;
  const facts = ({ task, label, queue, state, attempts, error, count }: Node) =>
    JSON.stringify([task, label, queue, state, attempts, error, count]);
  return facts(a) !== facts(b);
}

/** A value that differs; undefined on the side that does not have it. */
export interface Difference {
  /** Such as `items[3].price`; empty for the whole value. */
  readonly path: string;
  readonly a: unknown;
  readonly b: unknown;
}

const MAX_DIFFERENCES = 200;

/** Returns where two JSON values differ, at most 200 places. */
export function differencesOf(a: unknown, b: unknown): readonly Difference[] {
  const found: Difference[] = [];
  const left: [path: string, a: unknown, b: unknown][] = [['', a, b]];
  for (let next = left.pop(); next !== undefined && found.length < MAX_DIFFERENCES; next = left.pop()) {
    const [path, one, other] = next;
    if (Array.isArray(one) && Array.isArray(other)) {
      for (let index = Math.max(one.length, other.length) - 1; index >= 0; index -= 1)
        left.push([`${path}[${index}]`, one[index], other[index]]);
    } else if (isObject(one) && isObject(other)) {
      for (const key of [...new Set([...Object.keys(one), ...Object.keys(other)])].reverse())
        left.push([path === '' ? key : `${path}.${key}`, own(one, key), own(other, key)]);
    } else if (JSON.stringify(one) !== JSON.stringify(other)) found.push({ path, a: one, b: other });
  }
  return found;
}

type Json = Readonly<Record<string, unknown>>;

const own = (value: Json, key: string) => (Object.hasOwn(value, key) ? value[key] : undefined);
const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
