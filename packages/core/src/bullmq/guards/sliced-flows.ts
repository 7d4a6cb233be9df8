/**
 * A transaction blocks Redis as long as it runs, some 50 µs a job. Of a flow with many jobs that wait for others, such as
 * a long chain, those are stored in slices before the rest: nothing of it starts until then, and nothing of it is
 * complete. What comes of a sender that ends in between is found by `adding.ts` and `repair.ts`.
 */
import type { IQueueBackend } from 'bullmq';
import { SLICE } from '../../flow/node.js';

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
