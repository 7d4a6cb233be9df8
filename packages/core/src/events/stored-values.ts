/** What stored events carry, which any program may have written. */
import { isPlainObject } from '../wire/plain-object.js';
import { OWN_STATE } from '../wire/progress.js';
import type { Sealer } from '../wire/sealing.js';
import { sanitize } from '../wire/stored-value.js';
import type { WorkerFacts } from './event.js';

/** A value that was reported, and the task's own state if it shows one. */
export interface Reported {
  readonly value: unknown;
  readonly state?: string;
}

/** What a job has reported; undefined if that is no JSON. */
export async function reportedOf(
  sealer: Sealer,
  text: string | undefined,
  job: { readonly id: string; readonly task: string },
): Promise<Reported | undefined> {
  const stored = parsed(text);
  if (stored === undefined) return undefined;
  const isOwn = isPlainObject(stored) && typeof stored[OWN_STATE] === 'string';
  const value = isOwn ? stored.progress : stored;
  // Encoded by a codec that this app does not have, or not in the form of one.
  const opened = await sealer.open(value, { subject: 'progress', ...job }).catch(() => undefined);
  return {
    value: sanitize(opened) === undefined ? opened : undefined,
    ...(isOwn && { state: String(stored[OWN_STATE]) }),
  };
}

/** The worker that an event names; undefined if that is not in the form of one. */
export function workerOf(text: string | undefined): WorkerFacts | undefined {
  const stored = parsed(text);
  if (!isPlainObject(stored)) return undefined;
  const { id, name, host, pid } = stored;
  const isText = [id, name, host].every((value) => typeof value === 'string');
  if (!isText || !Number.isSafeInteger(pid)) return undefined;
  return { id, name, host, pid } as WorkerFacts; // each was checked
}

/** The value of a JSON text; undefined if it is none. */
function parsed(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}
