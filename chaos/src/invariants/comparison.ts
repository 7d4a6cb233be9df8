/** A workflow beside the worlds that it may be. */
import type { World } from '../../../packages/canvas/test/support/interpreter.js';
import type { SeenOutcome } from '../history.js';
import { type JudgedWorkflow, show } from './evidence.js';

export interface Difference {
  /** Of the end, if it is not that of the world. */
  readonly end: readonly string[];
  /** Nodes that should have run. */
  readonly missing: readonly string[];
  /** Nodes that ran in more jobs than they should. */
  readonly surplus: readonly string[];
}

/** How a workflow differs from the world that is closest to it. */
export function difference(workflow: JudgedWorkflow, outcome: SeenOutcome): Difference {
  const jobs = jobsByRun(workflow);
  let closest: Difference | undefined;
  for (const world of workflow.worlds()) {
    const found = { end: endOf(world, outcome), ...runsOf(world, jobs) };
    if (closest === undefined || sizeOf(found) < sizeOf(closest)) closest = found;
    if (sizeOf(found) === 0) return found;
  }
  return closest ?? { end: ['it has no world'], missing: [], surplus: [] };
}

/** Nodes and values that ran, whatever the end, in no world at all or in more jobs than in any world. */
export function surplusInEveryWorld(workflow: JudgedWorkflow): readonly string[] {
  const jobs = jobsByRun(workflow);
  let least: readonly string[] | undefined;
  for (const world of workflow.worlds()) {
    const { surplus } = runsOf(world, jobs);
    if (least === undefined || surplus.length < least.length) least = surplus;
    if (surplus.length === 0) return surplus;
  }
  return least ?? [];
}

/** Nodes that did not run, of the world in which the fewest did not. */
export function missingInEveryWorld(workflow: JudgedWorkflow): readonly string[] {
  const jobs = jobsByRun(workflow);
  const missing = workflow.worlds().map((world) => runsOf(world, jobs).missing);
  return missing.toSorted((a, b) => a.length - b.length)[0] ?? [];
}

const sizeOf = ({ end, missing, surplus }: Difference) => end.length + missing.length + surplus.length;

const keyOf = (node: number, value: unknown) => `node ${node} with ${JSON.stringify(value)}`;

/** In how many jobs a node ran with a value: in one job it may have run more often, if a fault hit it. */
function jobsByRun({ entries }: JudgedWorkflow): ReadonlyMap<string, number> {
  const jobs = new Map<string, Set<string>>();
  for (const { event, node, value, job } of entries) {
    if (event !== 'start') continue;
    const key = keyOf(node, value);
    const known = jobs.get(key);
    if (known === undefined) jobs.set(key, new Set([job]));
    else known.add(job);
  }
  return new Map([...jobs].map(([key, ids]) => [key, ids.size]));
}

function endOf({ end }: World, outcome: SeenOutcome): string[] {
  if (!outcome.ok) {
    const isExpected = end.kind === 'fails' && end.with.some((text) => outcome.message.includes(text));
    return isExpected ? [] : [`it failed: ${outcome.message}; expected ${show(end)}`];
  }
  const given = JSON.stringify(outcome.value);
  const expected = end.kind === 'fails' ? `a failure: ${end.with.join(' or ')}` : JSON.stringify(end.value);
  return given === expected ? [] : [`it gave ${show(outcome.value)}; expected ${expected.slice(0, 300)}`];
}

function runsOf(world: World, jobs: ReadonlyMap<string, number>): Omit<Difference, 'end'> {
  const left = new Map(jobs);
  const missing: string[] = [];
  const sureFirst = world.runs.toSorted((a, b) => Number(a.isUnsure ?? false) - Number(b.isUnsure ?? false));
  for (const { n, value, isUnsure } of sureFirst) {
    const key = keyOf(n, value);
    const count = left.get(key) ?? 0;
    if (count > 0) left.set(key, count - 1);
    else if (!isUnsure) missing.push(`${key} did not run`);
  }
  const surplus: string[] = [];
  for (const [key, count] of left) if (count > 0) surplus.push(`${key} ran in ${count} jobs too many`);
  return { missing, surplus };
}
