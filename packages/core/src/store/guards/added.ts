/**
 * This guard ensures that jobs are stored completely, or that sending throws.
 *
 * W11: BullMQ checks only the answer for the root of a flow. A child that was not stored would leave its parent waiting
 * forever, and an error code of `addJobs` would count as an id. A Redis that has evicted some of its cached scripts (since
 * 7.4 it may do so at any time) runs only the commands of a transaction whose scripts it still has.
 */
import type { IQueueBackend } from 'bullmq';
import { SubmitError } from '../../base/errors.js';
import { SLICE } from '../../job/job-tree.js';
import { driverOf, isTransient } from '../engine/drivers.js';

/** Maximum number of repeats if the store lacks a script. */
const MAX_REPEATS = 3;

/** Makes the backend throw for every job that was not stored. */
export function checksAdded(backend: IQueueBackend): void {
  const addFlow = backend.addFlow.bind(backend);
  backend.addFlow = async (entries) => {
    const results = await withScripts(
      backend,
      () => addFlow(entries),
      (answers) => answers.some(([error]) => lacksScript(error)),
    );
    const [first] = results[0] ?? [];
    // W6: nothing was stored, and a retry may succeed.
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

/** Sends jobs, again with the text of the scripts if the store lacked one of them. */
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
    // W4: the sender chooses the id of every job, so stored jobs stay unchanged.
    await driverOf(backend)?.restoreCommands(backend);
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

// Slicing of large flows.

/**
 * Stores large flows in slices. A transaction blocks Redis for about 50 µs per job, and
 * takes PostgreSQL longer than linearly. In a flow with many
 * waiting jobs, such as a long chain, the waiting jobs are stored in slices before the rest: none of them starts before the
 * rest is stored. If the sender dies in between, `add.ts` and `repair.ts` find the incomplete flow.
 */
export function slicesFlows(backend: IQueueBackend): void {
  const addFlow = backend.addFlow.bind(backend);
  backend.addFlow = async (entries) => {
    const waiting = entries.filter(({ parentKeyOpts }) => parentKeyOpts.addToWaitingChildren === true);
    if (waiting.length <= SLICE) return addFlow(entries);
    // BullMQ lists every job after its parent, and so does each part of the list.
    const first = waiting.slice(0, Math.floor((waiting.length - 1) / SLICE) * SLICE);
    const stored = new Map<unknown, Awaited<ReturnType<typeof addFlow>>[number]>();
    const add = async (slice: typeof entries) => {
      const answers = await addFlow(slice);
      for (const [index, entry] of slice.entries()) stored.set(entry, answers[index] ?? [null, entry.jobId]);
    };
    for (let start = 0; start < first.length; start += SLICE) await add(first.slice(start, start + SLICE));
    await add(entries.filter((entry) => !stored.has(entry)));
    return entries.map((entry) => stored.get(entry) ?? [null, entry.jobId]);
  };
}
