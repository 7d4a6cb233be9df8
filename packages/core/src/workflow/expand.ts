/**
 * Decides what is added to a workflow once an earlier step has its result. Pure: `worker/workflow-jobs.ts` reads the result
 * and adds the jobs.
 */
import { type FailureOrigin, UpstreamFailedError, ValidationError } from '../base/errors.js';
import { isPlainObject, kindOf } from '../base/text.js';
import { isInside, pathOf } from '../job/ids.js';
import {
  type EachExpansion,
  type JobNode,
  jobIdOf,
  type MatchExpansion,
  relocated,
  type Source,
  type WhenExpansion,
} from '../job/job-tree.js';
import { fill, fulfils } from './input.js';
import { type Children, collectInputs, type JoinInputs, type JoinState } from './join.js';

/**
 * Returns a call of the step for each item of the previous result, or for each `chunkSize` of them (`map`, `starmap` and
 * `chunks` over a result).
 * @throws {ValidationError} if the result is no list, needs more than `limit` jobs, or has rows of another length than `keys`.
 */
export function membersOfEach(
  { each, list, keys, chunkSize }: EachExpansion,
  value: unknown,
  limit: number,
): JobNode[] {
  if (!Array.isArray(value)) {
    throw refused(
      each.name,
      'input',
      `this step runs over a list, and the step before it gave ${kindOf(value)}`,
    );
  }
  const count = Math.ceil(value.length / (chunkSize ?? 1));
  if (count > limit) {
    throw refused(
      each.name,
      'input',
      `this step runs over a list that makes ${count} jobs, the limit is ${limit}; raise createApp({ limits })`,
    );
  }
  const items = keys === undefined ? value : value.map((row, index) => zipped(each.name, keys, row, index));
  const at = (index: number) => relocated(each, `${list}.*`, `${list}.${index}`);
  if (chunkSize === undefined) return items.map((item, index) => fill(at(index), item ?? null));
  const chunks: JobNode[] = [];
  for (let offset = 0; offset < items.length; offset += chunkSize) {
    const { open: _open, ...node } = at(chunks.length);
    chunks.push({ ...node, items: items.slice(offset, offset + chunkSize), offset });
  }
  return chunks;
}

function zipped(task: string, keys: readonly string[], row: unknown, index: number): unknown {
  if (!Array.isArray(row) || row.length !== keys.length) {
    const given = Array.isArray(row) ? `a list of ${row.length}` : kindOf(row);
    throw refused(
      task,
      `input[${index}]`,
      `expected a list of ${keys.length} values (${keys.join(', ')}), got ${given}`,
    );
  }
  return Object.fromEntries(keys.map((key, place) => [key, row[place]]));
}

/**
 * Returns the case whose name the previous result has under the key (`match`). Numbers and booleans are compared as text.
 * @throws {ValidationError} if there is no such case.
 */
export function caseOfMatch({ key, cases }: MatchExpansion, value: unknown): JobNode {
  const name = isPlainObject(value) ? value[key] : undefined;
  const known = Object.keys(cases);
  const chosen = known.find((own) => own === String(name));
  const node = chosen === undefined ? undefined : cases[chosen];
  if (
    node !== undefined &&
    (typeof name === 'string' || typeof name === 'number' || typeof name === 'boolean')
  )
    return node;
  const list = known.map((own) => `"${own}"`).join(', ');
  throw refused(
    'match',
    `input.${key}`,
    `expected one of ${list}, got ${typeof name === 'string' ? `"${name}"` : kindOf(name)}`,
  );
}

/**
 * Returns the branch that a condition, or the result of the step that decides, chooses (`when`); undefined if there is no
 * branch for `false`.
 * @param tested The result of the step that decides; ignored if the expansion has a condition.
 * @throws {ValidationError} if that step returned neither true nor false.
 */
export function branchOfWhen(
  { condition, onTrue, onFalse }: WhenExpansion,
  value: unknown,
  tested: unknown,
): JobNode | undefined {
  if (condition !== undefined) return fulfils(value, condition) ? onTrue : onFalse;
  if (typeof tested === 'boolean') return tested ? onTrue : onFalse;
  throw refused(
    'when',
    'input',
    `the step that decides has to give true or false, it gave ${kindOf(tested)}`,
  );
}

/** What a fallback does next: it has the state of one of its steps, or adds the other one for this failure. */
export type FallbackDecision = JoinState | { readonly kind: 'other'; readonly failure: FailureOrigin };

/**
 * Decides what a fallback does. The other step is added only for a failure of the step itself: what failed before it is
 * passed on, and so is the failure of a revoked fallback.
 * @param step The source of the step's result.
 * @param otherPath The path of the other step.
 * @throws {UpstreamFailedError} if the fallback fails.
 */
export async function decideFallback(
  job: JoinInputs,
  children: Children,
  step: Source,
  otherPath: string,
  isRevoked: boolean,
): Promise<FallbackDecision> {
  const otherId = jobIdOf(job.run, otherPath);
  const failed = await children.failed();
  const last = failed.find(({ id }) => id === otherId);
  if (last !== undefined) throw new UpstreamFailedError(await children.origin(last));
  if ((await children.results()).has(otherId)) return collectInputs(job, children, { step: otherPath });
  try {
    return await collectInputs(job, children, step);
  } catch (error) {
    if (!(error instanceof UpstreamFailedError) || isRevoked) throw error;
    if (!isInside(pathOf(job.run, job.id), pathOf(job.run, error.origin.jobId))) throw error;
    return { kind: 'other', failure: error.origin };
  }
}

/**
 * Decides about the replacement of a job (`ctx.replace`): the job takes its value, adds it, or waits for the one that was
 * added before, which is lost if the store does not hold it.
 */
export function decideReplacement({
  hasEnded,
  wasAdded,
}: {
  readonly hasEnded: boolean;
  readonly wasAdded: boolean;
}): 'take' | 'add' | 'wait' {
  if (hasEnded) return 'take';
  return wasAdded ? 'wait' : 'add';
}

function refused(task: string, path: string, message: string): ValidationError {
  return new ValidationError(task, 'input', [{ path, message }]);
}
