/**
 * Sends the callbacks of a job that has ended (link, linkError, finally), and reads the children of a held job.
 * A callback's id derives from the job's id, so sending it twice changes nothing.
 */

import { type FailureOrigin, ValidationError } from '../base/errors.js';
import { observeTree } from '../client/runtime.js';
import { isSealed } from '../codec/codecs.js';
import type { FailureRecord } from '../codec/error-record.js';
import { type Envelope, type TraceLinks, withTraceLinks } from '../job/envelope.js';
import type { ActiveJob, FailedChild } from '../job/job.js';
import { type Callbacks, callbackId, openTree } from '../job/job-tree.js';
import { addRun } from '../store/add.js';
import { checkResult } from '../store/read.js';
import { internalChildren } from '../store/results.js';
import { fill } from '../workflow/input.js';
import type { Children } from '../workflow/join.js';
import { withSendContext } from '../workflow/prepare.js';
import type { ExecutorDependencies } from './dependencies.js';
import { linksFor } from './tracing.js';

type End =
  | { readonly ok: true; readonly value: unknown }
  | {
      readonly ok: false;
      readonly error: FailureRecord;
      /** Absent for a job that failed. */
      readonly state?: FailureOrigin['state'];
    };

/** Sends the callbacks of a job for this end. */
export async function sendCallbacks(
  dependencies: ExecutorDependencies,
  job: ActiveJob,
  envelope: Envelope,
  end: End,
): Promise<void> {
  const { callbacks } = envelope;
  if (callbacks === undefined) return;
  const links = await linksFor(dependencies, job, envelope);
  if (end.ok) {
    await send(dependencies, job, envelope, links, 'success', end.value);
    await send(dependencies, job, envelope, links, 'always', end);
    return;
  }
  const { state, error } = end;
  if (isFailure(state)) await send(dependencies, job, envelope, links, 'failure', error);
  await send(dependencies, job, envelope, links, 'always', { ok: false, error });
}

/** Whether the state is a failure: a revoked job, and one that its group did not need, is not. */
function isFailure(state: FailureOrigin['state']): boolean {
  return state !== 'revoked' && state !== 'skipped';
}

async function send(
  { sealer, store, tags, runtime, onError }: ExecutorDependencies,
  job: ActiveJob,
  { callbacks, headers, tags: commonTags }: Envelope,
  links: TraceLinks | undefined,
  kind: keyof Callbacks,
  value: unknown,
): Promise<void> {
  for (const [index, node] of (callbacks?.[kind] ?? []).entries()) {
    const id = callbackId(job.id, kind, index);
    try {
      const filled = withSendContext(withTraceLinks(fill(await openTree(sealer, id, node), value), links), {
        now: runtime.clock.now(),
        headers: headers ?? {},
        ...(commonTags !== undefined && { tags: commonTags }),
      });
      await tags.add(tags.labelsOf(filled), { queue: filled.queue, id }, runtime.clock.now());
      await addRun(store, id, filled, { isRepeated: job.starts > 1 });
      if (runtime.observer !== undefined) observeTree(runtime.observer, id, filled);
    } catch (error) {
      if (!(error instanceof ValidationError)) throw error;
      // A callback does not change the outcome of its job.
      onError(new Error(`a callback of job ${job.id} cannot be sent: ${error.message}`, { cause: error }));
    }
  }
}

/** Returns the children of a held job. Its own results and failures are read from the store once. */
export function childrenOfHeldJob({ sealer, store }: ExecutorDependencies, job: ActiveJob): Children {
  const stored = internalChildren(store);
  const read = async (): Promise<ReadonlyMap<string, unknown>> => {
    const results = await job.childResults();
    const decoded = new Map<string, unknown>();
    for (const [id, value] of results) {
      checkResult(id, value);
      decoded.set(
        id,
        isSealed(value) ? await sealer.decode(value, { subject: 'result', id, task: '' }) : value,
      );
    }
    return decoded;
  };
  let ownResults: Promise<ReadonlyMap<string, unknown>> | undefined;
  let failed: Promise<readonly FailedChild[]> | undefined;
  return {
    results(of) {
      if (of !== undefined) return stored.results(of);
      ownResults ??= read();
      return ownResults;
    },
    failed(of) {
      if (of !== undefined) return stored.failed(of);
      failed ??= job.failedChildren();
      return failed;
    },
    origin: (child) => stored.origin(child),
    mayBePending: job.mayHavePendingChildren,
  };
}
