/** The same for many dead letters, a few at a time. */
import { isUmbelError } from '../../errors.js';
import { checkOptions, type OptionNames } from '../../tasks/known-options.js';
import { checkBoolean, checkInteger } from '../../tasks/options.js';
import type { FailedJob } from './failed-jobs.js';
import { cursorOf } from './query.js';

export interface ManyOptions {
  /** At most so many are taken, from 1 to 100,000. Default 1000. */
  limit?: number | undefined;
  /** Tells what would be done, and changes nothing. Default false. */
  dryRun?: boolean | undefined;
}

export const MANY: OptionNames<ManyOptions> = { limit: true, dryRun: true };

/** One of many for which it was not done. */
export interface SkippedLetter {
  readonly id: string;
  readonly reason: string;
}

export interface ManyOutcome {
  readonly done: number;
  readonly skipped: readonly SkippedLetter[];
  readonly cursor: string | undefined;
}

/** Jobs that are changed at the same time. */
const TOGETHER = 25;

/** @throws {InvalidOptionError} if an option has a value it cannot have. */
export function checkMany<Options extends ManyOptions>(
  options: Options,
  known: OptionNames<Options>,
): {
  limit: number;
  dryRun: boolean;
} {
  const { limit = 1000, dryRun = false } = checkOptions(options, known);
  return { limit: checkInteger('limit', limit, 1, 100_000), dryRun: checkBoolean('dryRun', dryRun) };
}

/**
 * Does something to each of the jobs, up to `limit` of them. What it throws for one is the reason why that was skipped,
 * but for a store that cannot be reached, which ends it all.
 */
export async function doMany(
  jobs: AsyncIterable<FailedJob>,
  limit: number,
  change: (job: FailedJob) => Promise<void>,
): Promise<ManyOutcome> {
  const skipped: SkippedLetter[] = [];
  let done = 0;
  let taken = 0;
  let last: FailedJob | undefined;
  let batch: FailedJob[] = [];
  const changeOne = async (job: FailedJob) => {
    try {
      await change(job);
      done += 1;
    } catch (error) {
      if (isUmbelError(error, 'CONNECTION') || isUmbelError(error, 'CLOSED')) throw error;
      skipped.push({ id: job.id, reason: error instanceof Error ? error.message : String(error) });
    }
  };
  const flush = async () => {
    await Promise.all(batch.map(changeOne));
    last = batch.at(-1) ?? last;
    batch = [];
  };
  for await (const job of jobs) {
    if (taken === limit) {
      await flush();
      return { done, skipped, cursor: last && cursorOf(last) };
    }
    taken += 1;
    batch.push(job);
    if (batch.length === TOGETHER) await flush();
  }
  await flush();
  return { done, skipped, cursor: undefined };
}
