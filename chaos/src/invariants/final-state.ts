/** I1: each acknowledged workflow has exactly one final state, which is one that its composition can have. */
import { difference } from './comparison.js';
import { type Invariant, isComposed, type JudgedWorkflow, show } from './evidence.js';

const FINAL = new Set(['completed', 'failed', 'expired', 'revoked', 'skipped']);

export const finalState: Invariant = ({ workflows }) =>
  workflows.flatMap((workflow) =>
    problemsOf(workflow).map((message) => ({
      invariant: 'I1',
      workflow: workflow.index,
      run: workflow.run,
      message,
    })),
  );

function problemsOf(workflow: JudgedWorkflow): readonly string[] {
  const { run, runs, told, final, entries, revokes } = workflow;
  if (run === undefined) return [];
  if (final === undefined) return ['it was acknowledged, and the store does not tell its final state'];
  const problems: string[] = [];
  if (runs.length > 1) problems.push(`it was acknowledged as several runs: ${runs.join(', ')}`);
  if (!FINAL.has(final.state)) problems.push(`its state in the end is ${final.state}`);
  if (final.outcome.ok !== (final.state === 'completed')) {
    problems.push(`its state is ${final.state}, and its outcome ${show(final.outcome)}`);
  }
  if (told === undefined) problems.push('whoever waited for it was told nothing');
  else if (JSON.stringify(told.outcome) !== JSON.stringify(final.outcome)) {
    problems.push(`a waiter was told ${show(told.outcome)}, and later ${show(final.outcome)}`);
  }
  const own = run.replace(/\.0$/, '');
  const strange = entries.find(({ job }) => !job.startsWith(own));
  if (strange !== undefined) problems.push(`it has a second run: job ${strange.job}`);
  const wasRevoked = revokes.some(({ answer }) => answer) && final.state === 'revoked';
  if (isComposed(workflow) && !wasRevoked) problems.push(...difference(workflow, final.outcome).end);
  return problems;
}
