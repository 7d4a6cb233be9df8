/** I2: one recorded result for each node, which its handler gave, and one successor for each edge. */
import { cleaned, effectOf, type NodeInput } from '../../../packages/canvas/test/support/node-task.js';
import { isNodeName } from '../versions.js';
import { surplusInEveryWorld } from './comparison.js';
import { type Invariant, isComposed, show, type Violation } from './evidence.js';

export const oneResult: Invariant = ({ workflows, ledger, store }) => {
  const violations: Violation[] = workflows.filter(isComposed).flatMap((workflow) =>
    surplusInEveryWorld(workflow).map((message) => ({
      invariant: 'I2',
      workflow: workflow.index,
      run: workflow.run,
      message,
    })),
  );
  const given = new Map(
    ledger.filter(({ how }) => how === 'gave').map(({ job, value }) => [job, value] as const),
  );
  const ended = new Set(ledger.filter(({ event }) => event === 'end').map(({ job }) => job));
  for (const { id, name, state, data, result } of store.jobs) {
    if (!isNodeName(name) || state !== 'completed' || data === undefined || data.items !== undefined)
      continue;
    const input = data.input as NodeInput & { w: number };
    if (given.has(id)) {
      const effect = effectOf(input, given.get(id));
      const expected = 'value' in effect ? effect.value : undefined;
      if (JSON.stringify(cleaned(result)) === JSON.stringify(expected)) continue;
      const message = `job ${id} has the result ${show(result)}; its handler gave ${show(expected)}`;
      violations.push({ invariant: 'I2', workflow: input.w, message });
    } else if (!ended.has(id) && data.skipped !== true && !isMark(result)) {
      const message = `job ${id} has completed with ${show(result)}, and its handler never ended`;
      violations.push({ invariant: 'I2', workflow: input.w, message });
    }
  }
  return violations;
};

/** The end of a chain by an earlier step is no result of a handler. */
function isMark(result: unknown): boolean {
  return typeof result === 'object' && result !== null && 'umbel:stopped' in result;
}
