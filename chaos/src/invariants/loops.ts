/** I13: the turns of a loop run one after the other: none starts before a node of the one before it has ended. */
import type { LedgerEntry } from '../ledger.js';
import type { Invariant, Violation } from './evidence.js';

/** The turns in the id of a job, the outermost first. */
const TURNS = /@(\d+)/g;

/** What the nodes of a turn did first. */
interface Turn {
  readonly number: number;
  readonly workflow: number;
  readonly startedAt: number;
  endedAt?: number;
}

export const loops: Invariant = ({ ledger, clockErrorMs }) => {
  const violations: Violation[] = [];
  for (const [loop, turns] of turnsIn(ledger)) {
    const inOrder = [...turns.values()].toSorted((a, b) => a.number - b.number);
    for (const [index, { number, workflow, startedAt }] of inOrder.entries()) {
      const before = inOrder[index - 1];
      if (before === undefined || (before.endedAt ?? Infinity) <= startedAt + clockErrorMs) continue;
      const end = before.endedAt === undefined ? 'never ended' : `ended at ${before.endedAt}`;
      const message = `turn ${number} of loop ${loop} started at ${startedAt}, and turn ${before.number} ${end}`;
      violations.push({ invariant: 'I13', workflow, message });
    }
  }
  return violations;
};

/** The turns that have run nodes, by the id of their loop. The ledger is in the order of time. */
function turnsIn(ledger: readonly LedgerEntry[]): ReadonlyMap<string, ReadonlyMap<number, Turn>> {
  const loopsSeen = new Map<string, Map<number, Turn>>();
  for (const { event, job, at, workflow } of ledger) {
    if (event !== 'start' && event !== 'end') continue;
    for (const { 1: text, index } of job.matchAll(TURNS)) {
      const loop = job.slice(0, index);
      const number = Number(text);
      const turns = loopsSeen.get(loop) ?? new Map<number, Turn>();
      loopsSeen.set(loop, turns);
      const turn = turns.get(number) ?? { number, workflow, startedAt: at };
      turns.set(number, turn);
      if (event === 'end') turn.endedAt ??= at;
    }
  }
  return loopsSeen;
}
