/**
 * What a worker does beyond taking jobs in one process, as far as the app's version of `@umbel/core` can: the only place to
 * change once `app.worker` takes `processes`, `watch` and `schedules`.
 */
import type { WorkerOptions } from '@umbel/core';
import { CliError } from '../errors/cli-error.js';
import { EXIT } from '../errors/exit-codes.js';

export interface ScalingFlags {
  readonly processes?: number | 'auto';
  readonly watch?: boolean;
  readonly withSchedules?: boolean;
}

/** @throws {CliError} for a flag that has no option of `app.worker` yet: nothing is silently left out. */
export function scalingOptions({ processes, watch, withSchedules }: ScalingFlags): WorkerOptions {
  const asked = [
    ...(processes === undefined || processes === 1 ? [] : ['--processes']),
    ...(watch ? ['--watch'] : []),
    ...(withSchedules ? ['--with-schedules'] : []),
  ];
  if (asked.length === 0) return {};
  throw new CliError({
    exitCode: EXIT.usage,
    what: `${asked.join(' and ')} cannot be used.`,
    why: 'This version of @umbel/core has no such workers.',
    hint: 'Leave it out, or install a newer version.',
  });
}

/** Whether this process is one of several of a worker, so that it prints no banner of its own. */
export function isOneOfSeveral(): boolean {
  return false;
}
