import type { IQueueBackend, MinimalJob } from 'bullmq';
import { type Envelope, isEnvelope } from '../wire/envelope.js';
import { primitivesOf } from './primitives.js';

/**
 * Changes a job's data without losing what another process notes with it in the same moment (W18: a mark of a
 * revocation, a failure, what a handler has put in the job's place). `change` gives undefined for nothing to change, and
 * may be called more than once. Gives the data as it is then; undefined if the job is gone, or is none of Umbel's.
 *
 * @param known The data as it was read before: if it is still the same, one command is enough.
 */
export async function mergeData(
  backend: IQueueBackend,
  id: string,
  change: (data: Envelope) => Envelope | undefined,
  known?: Envelope,
): Promise<Envelope | undefined> {
  const primitives = primitivesOf(backend);
  if (known !== undefined && primitives !== undefined) {
    const next = change(known);
    if (next === undefined) return known;
    if (await primitives.replaceData(id, JSON.stringify(known), JSON.stringify(next))) return next;
  }
  for (;;) {
    const current = (await backend.getJobData(id))?.data;
    const data = parsed(current);
    if (current === undefined || !isEnvelope(data)) return undefined;
    const next = change(data as Envelope);
    if (next === undefined) return data as Envelope;
    if (primitives === undefined) {
      await backend.updateData({ id } as MinimalJob, next); // all that the command reads of a job
      return next;
    }
    if (await primitives.replaceData(id, current, JSON.stringify(next))) return next;
  }
}

function parsed(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined; // a worker fails it with the reason
  }
}
