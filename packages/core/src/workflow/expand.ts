/**
 * Decides which jobs are added to a workflow when an earlier step has its result. Pure: `worker/workflow-jobs.ts` reads the
 * result and adds the jobs.
 */
import { type FailureOrigin, ValidationError } from '../base/errors.js';
import { UpstreamFailedError } from '../base/failures.js';
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
 * @throws {ValidationError} if the result is not a list, needs more than `limit` jobs, or has rows whose length differs from
 * that of `keys`.
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
      `this step runs over a list, but the previous step returned ${kindOf(value)}`,
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
    const actual = Array.isArray(row) ? `a list of ${row.length}` : kindOf(row);
    throw refused(
      task,
      `input[${index}]`,
      `expected a list of ${keys.length} values (${keys.join(', ')}), got ${actual}`,
    );
  }
  return Object.fromEntries(keys.map((key, position) => [key, row[position]]));
}

/**
 * Returns the case whose name the previous result has under the key (`match`). Numbers and booleans are compared as text.
 * @throws {ValidationError} if there is no such case.
 */
export function caseOfMatch({ key, cases }: MatchExpansion, value: unknown): JobNode {
  const name = isPlainObject(value) ? value[key] : undefined;
  const known = Object.keys(cases);
  const chosen = known.find((each) => each === String(name));
  const node = chosen === undefined ? undefined : cases[chosen];
  if (
    node !== undefined &&
    (typeof name === 'string' || typeof name === 'number' || typeof name === 'boolean')
  )
    return node;
  const list = known.map((each) => `"${each}"`).join(', ');
  throw refused(
    'match',
    `input.${key}`,
    `expected one of ${list}, got ${typeof name === 'string' ? `"${name}"` : kindOf(name)}`,
  );
}

/**
 * Returns the branch of a `when`, selected by its condition or by the result of its deciding step; undefined if it has no
 * branch for `false`.
 * @param tested The result of the deciding step; ignored if the expansion has a condition.
 * @throws {ValidationError} if the deciding step returned neither true nor false.
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
    `the deciding step must return true or false, it returned ${kindOf(tested)}`,
  );
}

/** The decision of a fallback: the state of one of its steps, or `other` to add the other step for this failure. */
export type FallbackDecision = JoinState | { readonly kind: 'other'; readonly failure: FailureOrigin };

/**
 * Decides a fallback. The other step is added only for a failure of the step itself. Failures of earlier steps, and the
 * failure of a revoked fallback, are passed on.
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
 * Decides about the replacement of a job (`ctx.replace`): the job takes its value, adds it, or waits for it. A replacement
 * that was added before but is missing from the store is lost.
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
