/**
 * What is sent is stored as a whole, or it is an error.
 *
 * W11: BullMQ looks at the answer for the root of a flow only; a child that was not stored would leave its parent
 * waiting for ever, and a code of refusal of `addJobs` would be taken for an id. And a Redis that has dropped some of
 * its cached scripts (since 7.4 it may, at any time) runs the commands of a transaction whose scripts it still has.
 */
import { randomUUID } from 'node:crypto';
import type { IQueueBackend } from 'bullmq';
import { SubmitError } from '../../errors.js';
import { isTransient } from './transient.js';

type FlowEntries = Parameters<IQueueBackend['addFlow']>[0];
type FlowEntry = FlowEntries[number];

/** How often a flow is stored again of which a part was not. */
const MAX_REPEATS = 3;

/** A queue that nobody serves. */
const SCRIPTS_QUEUE = 'umbel.scripts';

const done = new WeakSet<IQueueBackend>();

/** The backend with this guard; itself, since BullMQ's classes compare backends. */
export function checksAdded<Backend extends IQueueBackend>(backend: Backend): Backend {
  if (done.has(backend)) return backend;
  done.add(backend);
  const addFlow = backend.addFlow.bind(backend);
  backend.addFlow = async (entries) => {
    let results = await addFlow(entries).catch((error: unknown) => oneByOne(backend, entries, error));
    for (let repeats = 0; repeats < MAX_REPEATS; repeats += 1) {
      const missed = entries.filter((_, index) => lacksScript(results[index]?.[0]));
      if (missed.length === 0) break;
      await loadScripts(backend, missed);
      // W4: every entry has an id of the sender's, so what is there already stays as it is.
      results = await addFlow(entries).catch((error: unknown) => oneByOne(backend, entries, error));
    }
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
    const ids = await addJobs(entries).catch(async (error: unknown) => {
      if (!lacksScript(error)) throw error;
      const added: string[] = [];
      for (const { job, jobId, parentKeyOpts } of entries)
        added.push(await backend.addJob(job, jobId, parentKeyOpts));
      return added;
    });
    for (const [index, { jobId }] of entries.entries()) check(null, ids[index], jobId, backend.qualifiedName);
    return ids;
  };
  return backend;
}

/**
 * A flow whose entries are stored, but not the check that follows them. The store knows them all, so no parent can be
 * released before its last child is added.
 */
async function oneByOne(
  backend: IQueueBackend,
  entries: FlowEntries,
  error: unknown,
): Promise<[Error | null, string][]> {
  if (!lacksScript(error)) throw error;
  const added: [null, string][] = [];
  for (const { queueName, prefix, jobData, jobId, parentKeyOpts } of entries)
    added.push([null, await backend.forQueue(queueName, prefix).addJob(jobData, jobId, parentKeyOpts)]);
  return added;
}

/** Adds and removes a job like each of these on its own, which makes the client load the script for it. */
async function loadScripts(backend: IQueueBackend, entries: readonly FlowEntry[]): Promise<void> {
  for (const { prefix, jobData, parentKeyOpts } of likeNoOther(entries)) {
    const queue = backend.forQueue(SCRIPTS_QUEUE, prefix);
    const { parent: _parent, parentKey: _parentKey, ...alone } = jobData;
    const { addToWaitingChildren } = parentKeyOpts;
    const id = randomUUID();
    await queue.addJob(
      { ...alone, id, data: '{}' },
      id,
      addToWaitingChildren === undefined ? {} : { addToWaitingChildren },
    );
    await queue.remove(id, false);
  }
}

/** One entry of each kind that has a script of its own. */
function likeNoOther(entries: readonly FlowEntry[]): Iterable<FlowEntry> {
  const kinds = new Map<string, FlowEntry>();
  for (const entry of entries) {
    const { delay = 0, priority = 0 } = entry.jobData.opts;
    kinds.set(`${entry.parentKeyOpts.addToWaitingChildren} ${delay > 0} ${priority > 0}`, entry);
  }
  return kinds.values();
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
