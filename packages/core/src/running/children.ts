/** A claimed job's children, read from the store; its own once. */
import { checkResult } from '../bullmq/parsed-result.js';
import type { Children } from '../flow/gather.js';
import { isSealed } from '../wire/sealing.js';
import type { ActiveJob, FailedChild } from './job.js';
import type { ExecutorParts } from './parts.js';

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
