/** What is sent after a job of a run, each time with an id made from the job's: sending twice changes nothing. */
import { type FailureOrigin, ValidationError } from '../base/errors.js';
import { observeTree } from '../client/runtime.js';
import { isSealed } from '../codec/codecs.js';
import type { FailureRecord } from '../codec/error-record.js';
import { type Envelope, type TraceLinks, withTraceLinks } from '../job/envelope.js';
import type { ActiveJob, FailedChild } from '../job/job.js';
import { type Callbacks, callbackId, openTree, tagsOf } from '../job/job-tree.js';
import { checkResult } from '../store/read.js';
import { fill } from '../workflow/input.js';
import type { Children } from '../workflow/join.js';
import { withSendContext } from '../workflow/prepare.js';
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
      const filled = withSendContext(withTraceLinks(fill(await openTree(sealer, id, node), value), links), {
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

// A claimed job's children, read from the store; its own once.

export function childrenOf({ sealer, store }: ExecutorParts, job: ActiveJob): Children {
  const stored = store.children();
  const read = async (): Promise<ReadonlyMap<string, unknown>> => {
    const results = await job.childResults();
    const opened = new Map<string, unknown>();
    for (const [id, value] of results) {
      checkResult(id, value);
      opened.set(id, isSealed(value) ? await sealer.open(value, { subject: 'result', id, task: '' }) : value);
    }
    return opened;
  };
  let own: Promise<ReadonlyMap<string, unknown>> | undefined;
  let failed: Promise<readonly FailedChild[]> | undefined;
  return {
    results(of) {
      if (of !== undefined) return stored.results(of);
      own ??= read();
      return own;
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
