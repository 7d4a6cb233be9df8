import type { ActiveJob, AttemptOutcome } from '../../../src/job/job.js';
import type { Activity } from '../../../src/worker/activity.js';

/** Notes an attempt while `run` runs, as an executor does. */
export async function during(
  activity: Activity,
  job: ActiveJob,
  run: () => Promise<AttemptOutcome>,
): Promise<AttemptOutcome> {
  const attempt = activity.begin(job);
  let outcome: AttemptOutcome | undefined;
  try {
    outcome = await run();
    return outcome;
  } finally {
    if (attempt !== undefined) activity.end(attempt, outcome);
  }
}
