import type { IQueueBackend, JobJson, MinimalJob } from 'bullmq';
import { LockLostError } from '../errors.js';
import { type Envelope, isEnvelope } from '../wire/envelope.js';
import { primitivesOf } from './primitives/jobs.js';

export interface MergeOptions {
  /** The data as it was read before: if it is still the same, one command is enough. */
  readonly known?: Envelope | undefined;
  /** Of a change by the worker that holds the job: how often the job was started when it was claimed. */
  readonly starts?: number;
}

/**
 * Changes a job's data without losing what another process notes with it in the same moment (W18: a mark of a
 * revocation, a failure, what a handler has put in the job's place). `change` gives undefined for nothing to change, and
 * may be called more than once. Gives the data as it is then; undefined if the job is gone, or is none of Umbel's.
 *
 * @throws {LockLostError} if the change is by a worker (`starts`) that does not hold the job any more: another one has
 * started it since, or has stored its outcome. Whoever waits may know that outcome; it must not change.
 */
export async function mergeData(
  backend: IQueueBackend,
  id: string,
  change: (data: Envelope) => Envelope | undefined,
  { known, starts }: MergeOptions = {},
): Promise<Envelope | undefined> {
  const primitives = primitivesOf(backend);
  const only = starts === undefined ? undefined : { starts };
  if (known !== undefined && primitives !== undefined) {
    const next = change(known);
    if (next === undefined) return known;
    if (await primitives.replaceData(id, JSON.stringify(known), JSON.stringify(next), only)) return next;
  }
  for (;;) {
    const stored = await backend.getJobData(id);
    if (stored !== undefined && starts !== undefined && !isHeld(stored, starts)) throw new LockLostError(id);
    const current = stored?.data;
    const data = parsed(current);
    if (current === undefined || !isEnvelope(data)) return undefined;
    const next = change(data as Envelope);
    if (next === undefined) return data as Envelope;
    if (primitives === undefined) {
      await backend.updateData({ id } as MinimalJob, next); // all that the command reads of a job
      return next;
    }
    if (await primitives.replaceData(id, current, JSON.stringify(next), only)) return next;
  }
}

/** Whether a job has not ended, and was not started since it was claimed. */
function isHeld({ attemptsStarted, finishedOn }: JobJson, starts: number): boolean {
  return Number(attemptsStarted) === starts && finishedOn === undefined;
}

function parsed(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined; // a worker fails it with the reason
  }
}
