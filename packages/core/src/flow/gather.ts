/** What a job's children give: its input, or the failure that stops it. */
import { CorruptJobError, type FailureOrigin, UpstreamFailedError } from '../errors.js';
import { jobIdOf, type Source } from './node.js';

/** The jobs that a job waited for. */
export interface Children {
  /** Results of those that completed, by job id. */
  results(): Promise<ReadonlyMap<string, unknown>>;
  /** Why one of them failed, if any did. */
  failure(): Promise<FailureOrigin | undefined>;
}

/**
 * The value that `source` describes, read from the job's children.
 * @throws {UpstreamFailedError} if one of them failed. (A failed child starts its parent at once, so its siblings
 * may still be running.)
 */
export async function gather(
  jobId: string,
  children: Children,
  run: string,
  source: Source,
): Promise<unknown> {
  if ('ignored' in source) {
    await refuseAfterFailure(children);
    return undefined;
  }
  const results = await children.results();
  const value = assemble(run, source, results);
  // An empty group misses no result, whether or not the step before it has failed.
  if (value === MISSING || isEmpty(source)) await refuseAfterFailure(children);
  if (value !== MISSING) return value;
  throw new CorruptJobError(jobId, 'it was started before the steps it needs had ended');
}

/** @throws {UpstreamFailedError} if one of the job's children failed. */
async function refuseAfterFailure(children: Children): Promise<void> {
  const failure = await children.failure();
  if (failure !== undefined) throw new UpstreamFailedError(failure);
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
