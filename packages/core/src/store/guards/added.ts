/**
 * What is sent is stored as a whole, or it is an error.
 *
 * W11: BullMQ looks at the answer for the root of a flow only; a child that was not stored would leave its parent
 * waiting for ever, and a code of refusal of `addJobs` would be taken for an id. And a Redis that has dropped some of
 * its cached scripts (since 7.4 it may, at any time) runs the commands of a transaction whose scripts it still has.
 */
import type { IQueueBackend } from 'bullmq';
import { SubmitError } from '../../base/errors.js';
import { redefineScripts } from './scripts.js';
import { isTransient } from './transient.js';

/** How often it is sent again of which the store has not had the scripts. */
const MAX_REPEATS = 3;

/** Makes an error of every job that the store has not taken. */
export function checksAdded(backend: IQueueBackend): void {
  const addFlow = backend.addFlow.bind(backend);
  backend.addFlow = async (entries) => {
    const results = await withScripts(
      backend,
      () => addFlow(entries),
      (answers) => answers.some(([error]) => lacksScript(error)),
    );
    const [first] = results[0] ?? [];
    // W6: the store has taken nothing of it, and may do so later.
    if (isTransient(first) && results.every(([error]) => isTransient(error))) throw first;
    for (const [index, { jobId, queueName }] of entries.entries()) {
      const [error, answer] = results[index] ?? [new Error('no answer'), -1];
      check(error, answer, jobId, queueName);
    }
    return results;
  };
  const addJobs = backend.addJobs.bind(backend);
  backend.addJobs = async (entries) => {
    const ids = await withScripts(
      backend,
      () => addJobs(entries),
      () => false,
    );
    for (const [index, { jobId }] of entries.entries()) check(null, ids[index], jobId, backend.qualifiedName);
    return ids;
  };
}

/** What is told of jobs that are sent: again, with the text of the scripts, where the store has not had one of them. */
async function withScripts<T>(
  backend: IQueueBackend,
  send: () => Promise<T>,
  lacks: (answer: T) => boolean,
): Promise<T> {
  for (let repeats = 0; ; repeats += 1) {
    const isLast = repeats === MAX_REPEATS;
    try {
      const answer = await send();
      if (isLast || !lacks(answer)) return answer;
    } catch (error) {
      if (isLast || !lacksScript(error)) throw error;
    }
    // W4: every job has an id of the sender's, so what is there already stays as it is.
    await redefineScripts(backend);
  }
}

function lacksScript(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOSCRIPT');
}

function check(error: Error | null, answer: unknown, jobId: string, queue: string): void {
  const isRefused = answer === undefined || (typeof answer === 'number' && answer < 0);
  if (error === null && !isRefused) return;
  const reason = error === null ? `code ${answer}` : error.message;
  throw new SubmitError(`Job ${jobId} was not stored in queue "${queue}": ${reason}.`, { cause: error });
}
