/** A claimed job's children, read from the store; its own once. */
import { isTransient } from '../bullmq/guards/transient.js';
import { checkResult } from '../bullmq/parsed-result.js';
import { ConnectionError } from '../errors.js';
import type { Children } from '../flow/gather.js';
import { isSealed } from '../wire/sealing.js';
import type { ActiveJob, FailedChild } from './job.js';
import type { ExecutorParts } from './parts.js';

export function childrenOf({ sealer, store }: ExecutorParts, job: ActiveJob): Children {
  const stored = store.children();
  const read = async (): Promise<ReadonlyMap<string, unknown>> => {
    const results = await reached(job.childResults());
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
      if (of !== undefined) return reached(stored.results(of));
      own ??= read();
      return own;
    },
    failed(of) {
      if (of !== undefined) return reached(stored.failed(of));
      failed ??= reached(job.failedChildren());
      return failed;
    },
    origin: (child) => reached(stored.origin(child)),
    mayBePending: job.mayHavePendingChildren,
  };
}

/** The answer of the store. @throws {ConnectionError} if it cannot be reached: that is no failure of the job. */
async function reached<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (cause) {
    if (!isTransient(cause)) throw cause;
    throw new ConnectionError('The store does not give the results of earlier steps now.', { cause });
  }
}
