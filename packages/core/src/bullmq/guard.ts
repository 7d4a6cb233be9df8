import type { IQueueBackend } from 'bullmq';
import { SubmitError } from '../errors.js';

/**
 * The backend with `addFlow` answering for every job: BullMQ looks at the root's answer only, and a child that was
 * not stored would leave its parent waiting for ever.
 */
export function checkFlowEntries<Backend extends IQueueBackend>(backend: Backend): Backend {
  const addFlow = backend.addFlow.bind(backend);
  backend.addFlow = async (entries) => {
    const results = await addFlow(entries);
    for (const [index, { jobId, queueName }] of entries.entries()) {
      const [error, answer] = results[index] ?? [new Error('no answer'), -1];
      if (error !== null || (typeof answer === 'number' && answer < 0)) {
        const reason = error === null ? `code ${answer}` : error.message;
        throw new SubmitError(`Job ${jobId} was not stored in queue "${queueName}": ${reason}.`, {
          cause: error,
        });
      }
    }
    return results;
  };
  return backend;
}
