/** I13: the turns of a loop start one after the other, none before the one before it has ended a node. */
import type { Invariant, Violation } from './evidence.js';

/** A job inside a turn: the job of the loop, the number of the turn. */
const TURN = /@(\d+)/g;

export const loops: Invariant = ({ ledger }) => {
  const violations: Violation[] = [];
  for (const [loop, turns] of firstStarts(ledger)) {
    const inOrder = [...turns].toSorted(([a], [b]) => a - b);
    for (const [index, [turn, { at, workflow }]] of inOrder.entries()) {
      const before = inOrder[index - 1];
      if (before === undefined || before[1].at <= at) continue;
      const message = `turn ${turn} of loop ${loop} started at ${at}, and turn ${before[0]} at ${before[1].at}`;
      violations.push({ invariant: 'I13', workflow, message });
    }
  }
  return violations;
};

interface FirstStart {
  readonly at: number;
  readonly workflow: number;
}

/** When the first node of each turn started, by the job of the loop. A ledger is in the order of time. */
function firstStarts(
  ledger: Parameters<Invariant>[0]['ledger'],
): ReadonlyMap<string, ReadonlyMap<number, FirstStart>> {
  const loopsSeen = new Map<string, Map<number, FirstStart>>();
  for (const { event, job, at, workflow } of ledger) {
    if (event !== 'start') continue;
    for (const { 1: turn, index } of job.matchAll(TURN)) {
      const loop = job.slice(0, index);
      const turns = loopsSeen.get(loop) ?? new Map<number, FirstStart>();
      loopsSeen.set(loop, turns);
      if (!turns.has(Number(turn))) turns.set(Number(turn), { at, workflow });
    }
  }
  return loopsSeen;
}
