/** What a job's children give: its input, or the failure that stops it. */
import { CorruptJobError, type FailureOrigin, UpstreamFailedError } from '../errors.js';
import type { ActiveJob, FailedChild } from '../running/job.js';
import { jobIdOf, type Source } from './node.js';

/** Reads why a job of the run failed. */
export type ReadFailure = (child: FailedChild) => Promise<FailureOrigin>;

/**
 * The value that `source` describes, read from the job's children.
 * @throws {UpstreamFailedError} if one of them failed. (A failed child starts its parent at once, so its siblings
 * may still be running.)
 */
export async function gather(
  job: ActiveJob,
  run: string,
  source: Source,
  readFailure: ReadFailure,
): Promise<unknown> {
  if ('ignored' in source) {
    await refuseAfterFailure(job, readFailure);
    return undefined;
  }
  const results = await job.childResults();
  const value = assemble(run, source, results);
  // An empty group misses no result, whether or not the step before it has failed.
  if (value === MISSING || isEmpty(source)) await refuseAfterFailure(job, readFailure);
  if (value !== MISSING) return value;
  throw new CorruptJobError(job.id, 'it was started before the steps it needs had ended');
}

/** @throws {UpstreamFailedError} if one of the job's children failed. */
async function refuseAfterFailure(job: ActiveJob, readFailure: ReadFailure): Promise<void> {
  const [first] = await job.failedChildren();
  if (first !== undefined) throw new UpstreamFailedError(await readFailure(first));
}

const MISSING = Symbol('missing');

function assemble(
  run: string,
  source: Exclude<Source, { ignored: true }>,
  results: ReadonlyMap<string, unknown>,
): unknown {
  if ('step' in source) return resultOf(results, jobIdOf(run, source.step));
  if ('list' in source) {
    const list: unknown[] = [];
    for (let index = 0; index < source.count; index += 1) {
      const value = resultOf(results, jobIdOf(run, `${source.list}.${index}`));
      if (value === MISSING) return MISSING;
      list.push(value);
    }
    return list;
  }
  const entries: [string, unknown][] = [];
  for (const [index, key] of source.keys.entries()) {
    const value = resultOf(results, jobIdOf(run, `${source.record}.${index}`));
    if (value === MISSING) return MISSING;
    entries.push([key, value]);
  }
  return Object.fromEntries(entries);
}

function isEmpty(source: Source): boolean {
  return ('list' in source && source.count === 0) || ('record' in source && source.keys.length === 0);
}

function resultOf(results: ReadonlyMap<string, unknown>, id: string): unknown {
  return results.has(id) ? results.get(id) : MISSING;
}
