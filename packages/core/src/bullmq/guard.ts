/** What BullMQ leaves open, closed at its backend, so that it holds for every store. */
import type { IQueueBackend } from 'bullmq';
import { SubmitError } from '../errors.js';

const done = new WeakSet<IQueueBackend>();

/** The backend with its guards; itself, since BullMQ's classes compare backends. */
export function guarded<Backend extends IQueueBackend>(backend: Backend): Backend {
  if (done.has(backend)) return backend;
  done.add(backend);
  checkAdded(backend);
  return backend;
}

/**
 * `addFlow` answers for every job: BullMQ looks at the root's answer only, and a child that was not stored would leave
 * its parent waiting for ever. `addJobs` too: a code of refusal would be taken for an id.
 */
function checkAdded(backend: IQueueBackend): void {
  const addFlow = backend.addFlow.bind(backend);
  backend.addFlow = async (entries) => {
    const results = await addFlow(entries);
    for (const [index, { jobId, queueName }] of entries.entries()) {
      const [error, answer] = results[index] ?? [new Error('no answer'), -1];
      check(error, answer, jobId, queueName);
    }
    return results;
  };
  const addJobs = backend.addJobs.bind(backend);
  backend.addJobs = async (entries) => {
    const ids = await addJobs(entries);
    for (const [index, { jobId }] of entries.entries()) check(null, ids[index], jobId, backend.qualifiedName);
    return ids;
  };
}

function check(error: Error | null, answer: unknown, jobId: string, queue: string): void {
  const isRefused = answer === undefined || (typeof answer === 'number' && answer < 0);
  if (error === null && !isRefused) return;
  const reason = error === null ? `code ${answer}` : error.message;
  throw new SubmitError(`Job ${jobId} was not stored in queue "${queue}": ${reason}.`, { cause: error });
}
