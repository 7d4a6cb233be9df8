/** Which actions are offered on a job, a run and a search: those that change something. */
import type { Found, JobDetails, RunDetails } from '../types.js';

const ENDED: ReadonlySet<string> = new Set(['completed', 'failed', 'revoked', 'expired', 'skipped']);
const RETRIED: ReadonlySet<string> = new Set(['failed', 'revoked', 'expired']);

/** Whether jobs and runs in a state can run again. */
export const isRetried = (state: string): boolean => RETRIED.has(state);

type OfferedJob = Pick<JobDetails, 'state' | 'runId'>;

/** Returns the actions on a job. A step is retried and removed with its run. */
export function actionsOnJob({ state, runId }: OfferedJob): readonly string[] {
  const isStep = runId !== undefined;
  if (!ENDED.has(state)) return state === 'delayed' ? ['job.promote', 'job.revoke'] : ['job.revoke'];
  if (isStep) return [];
  return isRetried(state) ? ['job.replay', 'job.drop'] : ['job.drop'];
}

type OfferedRun = Pick<RunDetails, 'state'> & {
  readonly graph: { readonly nodes: readonly { readonly kind?: string; readonly state: string }[] };
};

/** Returns the actions on a run. */
export function actionsOnRun({ state, graph }: OfferedRun): readonly string[] {
  if (ENDED.has(state)) return isRetried(state) ? ['run.resume', 'job.drop'] : ['job.drop'];
  const canWake = graph.nodes.some(
    ({ kind, state: step }) => (kind === 'sleep' || kind === 'loop') && step === 'delayed',
  );
  return canWake ? ['run.wake', 'job.revoke'] : ['job.revoke'];
}

/** Returns the actions on all jobs of a search. @param isFirst Whether the search was shown from its beginning on. */
export function actionsOnSearch(
  { items, cursor, notIndexed, actions = {} }: Omit<Found<{ readonly state: string }>, 'read'>,
  isFirst: boolean,
): readonly string[] {
  const isWhole = isFirst && cursor === undefined && notIndexed === undefined;
  const found = new Set(items.map(({ state }) => state));
  return Object.keys(actions).filter(
    (action) => !isWhole || actions[action]?.some((state) => found.has(state)) === true,
  );
}
