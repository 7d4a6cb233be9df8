/** What is sent after a job of a run, each time with an id made from the job's: sending twice changes nothing. */
import { type FailureOrigin, ValidationError } from '../errors.js';
import { fill } from '../flow/input.js';
import { linked, type TraceLinks } from '../flow/links.js';
import { type Callbacks, callbackId } from '../flow/node.js';
import { prepared } from '../flow/prepare.js';
import { openTree } from '../flow/seal.js';
import { tagsOf } from '../flow/tags.js';
import { observeTree } from '../runtime.js';
import type { FailureRecord } from '../tasks/options.js';
import type { Envelope } from '../wire/envelope.js';
import type { ActiveJob } from './job.js';
import type { ExecutorParts } from './parts.js';
import { linksFor } from './tracing.js';

type End =
  | { readonly ok: true; readonly value: unknown }
  | {
      readonly ok: false;
      readonly error: FailureRecord;
      /** Absent for one that has failed. */
      readonly state?: FailureOrigin['state'];
    };

/** Sends the callbacks of a job that has ended so. */
export async function sendCallbacks(
  parts: ExecutorParts,
  job: ActiveJob,
  envelope: Envelope,
  end: End,
): Promise<void> {
  const { callbacks } = envelope;
  if (callbacks === undefined) return;
  const links = await linksFor(parts, job, envelope);
  if (end.ok) {
    await send(parts, job, envelope, links, 'success', end.value);
    await send(parts, job, envelope, links, 'always', end);
    return;
  }
  const { state, error } = end;
  if (isFailure(state)) await send(parts, job, envelope, links, 'failure', error);
  await send(parts, job, envelope, links, 'always', { ok: false, error });
}

/** Whether what has ended in this state has failed: what somebody has revoked, or nobody needed any more, has not. */
function isFailure(state: FailureOrigin['state']): boolean {
  return state !== 'revoked' && state !== 'skipped';
}

async function send(
  { sealer, store, tags, runtime, onError }: ExecutorParts,
  job: ActiveJob,
  { callbacks, headers, tags: shared }: Envelope,
  links: TraceLinks | undefined,
  kind: keyof Callbacks,
  value: unknown,
): Promise<void> {
  for (const [index, node] of (callbacks?.[kind] ?? []).entries()) {
    const id = callbackId(job.id, kind, index);
    try {
      const filled = prepared(linked(fill(await openTree(sealer, id, node), value), links), {
        now: runtime.clock.now(),
        headers: headers ?? {},
        ...(shared !== undefined && { tags: shared }),
      });
      await tags.add(tagsOf(filled), { queue: filled.queue, id }, runtime.clock.now());
      await store.addRun(id, filled, { isRepeated: job.starts > 1 });
      if (runtime.observer !== undefined) observeTree(runtime.observer, id, filled);
    } catch (error) {
      if (!(error instanceof ValidationError)) throw error;
      // A callback does not change the outcome of what it follows.
      onError(new Error(`a callback of job ${job.id} cannot be sent: ${error.message}`, { cause: error }));
    }
  }
}
