/** What a worker does beyond taking jobs in one process. */
import type { AppWorker, WorkerOptions } from '@umbel/core';
import { CliError } from '../errors/cli-error.js';
import { EXIT } from '../errors/exit-codes.js';

export interface ScalingFlags {
  readonly processes?: number | 'auto';
  readonly watch?: boolean;
  readonly withSchedules?: boolean;
  readonly withoutSchedules?: boolean;
}

/** @throws {CliError} if two of them contradict each other. */
export function scalingOptions({
  processes,
  watch,
  withSchedules,
  withoutSchedules,
}: ScalingFlags): WorkerOptions {
  if (withSchedules && withoutSchedules)
    throw new CliError({
      exitCode: EXIT.usage,
      what: '--with-schedules and --without-schedules do not go together.',
      hint: 'Leave one of them out.',
    });
  return {
    ...(processes !== undefined && { processes }),
    ...(watch !== undefined && { watch }),
    ...((withSchedules || withoutSchedules) && { schedules: !withoutSchedules }),
  };
}

/** Whether this process is one of several of a worker: the first one tells of them all. */
export function isOneOfSeveral({ processIndex }: AppWorker): boolean {
  return processIndex !== undefined;
}

/**
 * A process among several, to its end: its supervisor is told of it, also if it cannot be started, and the worker ends the
 * process.
 */
export async function runAsOneOfSeveral(worker: AppWorker): Promise<never> {
  await worker.start().catch(() => {});
  return new Promise(() => {});
}
