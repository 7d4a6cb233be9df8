/** Runs the jobs of sleeps: the value is passed on when the moment has come. Until then the job is delayed in its queue. */
import { CorruptJobError } from '../base/errors.js';
import type { Envelope } from '../job/envelope.js';
import type { ActiveJob } from '../job/job.js';
import type { Pause } from '../job/pause.js';
import { decideSleep, restOf } from '../workflow/sleep.js';
import { Snooze } from './control-flow.js';
import type { ExecutorDependencies } from './dependencies.js';

/**
 * Returns the value once the sleep is over.
 * @throws {Snooze} before that: the job then holds no worker, no lock and no attempt.
 */
export async function sleepWith(
  { runtime: { clock } }: ExecutorDependencies,
  job: ActiveJob,
  { sleep, pause }: Envelope,
  value: unknown,
): Promise<unknown> {
  if (sleep === undefined) throw new CorruptJobError(job.id, 'a sleep without a time');
  const decision = decideSleep(sleep, pause, value, clock.now());
  if (decision.kind === 'begin') return waitFor(job, decision.pause, clock.now());
  if (decision.kind === 'wait') throw new Snooze(decision.ms);
  return value;
}

/** Stores a wait and returns the job to its queue for that time. @throws {Snooze} always. */
export async function waitFor(job: ActiveJob, pause: Pause, now: number): Promise<never> {
  await job.save({ pause });
  const rest = restOf(pause, now);
  throw new Snooze(rest.kind === 'wait' ? rest.ms : 0);
}
