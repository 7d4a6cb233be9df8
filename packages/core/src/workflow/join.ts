/**
 * Join decisions: from the outcomes of a job's children to its input, its failure, or a further wait. Workers call
 * `collectInputs` for jobs that wait for all children, and `collectNeeded` for joins with a rule.
 */
import { randomUUID } from 'node:crypto';
import { CorruptJobError, type FailureOrigin, LostJobError, ValidationError } from '../base/errors.js';
import { UpstreamFailedError } from '../base/failures.js';
import { isPlainObject, kindOf } from '../base/text.js';
import { recordError, recordOf } from '../codec/error-record.js';
import { isInside, isWithin, pathOf } from '../job/ids.js';
import type { FailedChild } from '../job/job.js';
import {
  INTERNAL_JOB,
  INTERNAL_QUEUE,
  type JobNode,
  type JoinRule,
  jobIdOf,
  type ListSource,
  type RecordSource,
  SLICE,
  type Source,
} from '../job/job-tree.js';
import { isPassedOn, isStopped, passedValue, referredMembers, stoppedChain } from '../job/marks.js';
import { isSize } from '../job/tree-checks.js';
import { type AddedPosition, addedPosition, comparePositions } from './added-members.js';

/** The children of a job, as the store reports them. */
export interface Children {
  /** Returns the results of the completed children by job id; with `of`, of the children of that internal job. */
  results(of?: string): Promise<ReadonlyMap<string, unknown>>;
  /** Returns the failed children; with `of`, of that internal job. */
  failed(of?: string): Promise<readonly FailedChild[]>;
  /** Returns the failure of a child. */
  origin(child: FailedChild): Promise<FailureOrigin>;
  /** False if all children have certainly ended. */
  readonly mayBePending: boolean;
}

/** The decision about a job that waits for others. */
export type JoinState =
  | { readonly kind: 'value'; readonly value: unknown }
  /** The job's chain ended early. `result` is the job's stored result; `own` has the value if the job's own part ended it. */
  | { readonly kind: 'stopped'; readonly result: unknown; readonly own?: { readonly value: unknown } }
  /** Some children have not ended; `seen` of them have failed. */
  | { readonly kind: 'waiting'; readonly seen?: number }
  /** The value is certain, but more children are being added. */
  | { readonly kind: 'later' };

/** The job that waits. */
export interface JoinInputs {
  readonly id: string;
  readonly run: string;
  /** Large groups that were read for this value. It detects forged results that refer to themselves. */
  readonly read?: Set<string>;
}

/**
 * Reads the value of `source` from the job's children.
 * @throws {UpstreamFailedError} if a child failed, or is missing from the store without an outcome. A failed child starts
 * its parent at once, so its siblings may still be running.
 */
export async function collectInputs(job: JoinInputs, children: Children, source: Source): Promise<JoinState> {
  return new InputCollector(job, children, source).run();
}

class InputCollector {
  readonly #job: JoinInputs;
  readonly #children: Children;
  readonly #source: Source;
  #results: ReadonlyMap<string, unknown> = new Map();
  #failed: readonly FailedChild[] | undefined;
  /** Members that handlers added. Their results come after those of the declared members. */
  readonly #added: { readonly position: AddedPosition; readonly value: unknown }[] = [];
  /** The first job without an outcome. */
  #missing: string | undefined;

  constructor(job: JoinInputs, children: Children, source: Source) {
    this.#job = job;
    this.#children = children;
    this.#source = source;
  }

  async run(): Promise<JoinState> {
    this.#results = await this.#children.results();
    const early = this.#stopped();
    if (early !== undefined) return early;
    const value = await this.#assemble(this.#source);
    if (this.#missing === undefined) {
      // A failed member that a handler added is never missing from the value, so failures are checked separately.
      const failed = 'list' in this.#source && !this.#source.settled ? await this.#failures() : [];
      if (failed.length > 0) throw new UpstreamFailedError(await firstCause(this.#children, failed));
      if (this.#source.ignored) return { kind: 'value', value: undefined };
      return { kind: 'value', value: this.#source.flat ? flattened(value) : value };
    }
    const failures = await this.#relevantFailures();
    if (failures.length > 0) throw new UpstreamFailedError(await firstCause(this.#children, failures));
    if (this.#children.mayBePending) return { kind: 'waiting' };
    throw new UpstreamFailedError(lossOf(this.#missing));
  }

  /** Returns the early end of a chain, which every job passes on until the end of that chain. */
  #stopped(): JoinState | undefined {
    const source = this.#source;
    const paths = [source.via, 'step' in source ? source.step : undefined];
    const results = paths.map((path) => (path === undefined ? undefined : this.#results.get(this.#id(path))));
    const mark = results.find(isStopped);
    if (mark === undefined) return undefined;
    const path = pathOf(this.#job.run, this.#job.id);
    const chain = stoppedChain(mark);
    const { value } = mark;
    const isOwn = isInside(path, mark.by);
    if (isWithin(chain, path)) return { kind: 'stopped', result: mark, ...(isOwn && { own: { value } }) };
    if (path === chain) return { kind: 'stopped', result: value };
    return { kind: 'value', value: source.flat ? flattened(value) : value };
  }

  async #assemble(source: Source): Promise<unknown> {
    if ('step' in source) {
      const viaResult = source.via === undefined ? undefined : this.#results.get(this.#id(source.via));
      if (isPassedOn(viaResult)) return passedValue(viaResult);
      return this.#resolved(this.#result(this.#id(source.step)));
    }
    const size = this.#sizeOf(source);
    if (size === undefined) return undefined;
    const values = size.sliced
      ? await this.#fromSlices(source, size.count)
      : await this.#fromMembers(source, size.count);
    if ('record' in source) return Object.fromEntries(source.keys.map((key, index) => [key, values[index]]));
    this.#added.sort((a, b) => comparePositions(a.position, b.position));
    const declared = source.chunked ? values.flat() : values;
    return [...declared, ...this.#added.map(({ value }) => value)];
  }

  /** Returns the number of members; undefined if it is not known yet. */
  #sizeOf(source: ListSource | RecordSource): { count: number; sliced: boolean } | undefined {
    const result = source.via === undefined ? undefined : this.#result(this.#id(source.via));
    if (this.#missing !== undefined) return undefined;
    const viaResult = isPlainObject(result) ? result : {};
    const declared = 'record' in source ? source.keys.length : source.count;
    return {
      count: declared ?? streamedCount(source.via ?? '', viaResult),
      sliced: source.sliced === true || viaResult.sliced === true,
    };
  }

  async #fromMembers(source: ListSource | RecordSource, count: number): Promise<unknown[]> {
    const list = 'list' in source ? source.list : source.record;
    const failed = source.settled ? await this.#failures() : [];
    // In a settled group, missing members become failures, so a forged count could be huge. Any other list ends at the first.
    if (source.settled && count > Math.max(MAX_MISSING, this.#results.size + failed.length))
      throw new CorruptJobError(this.#job.id, `its group has fewer than ${count} members`);
    const first = 'list' in source ? (source.first ?? 0) : 0;
    return this.#membersOf(list, this.#results, failed, first, first + count, source.settled);
  }

  async #fromSlices(source: ListSource | RecordSource, count: number): Promise<unknown[]> {
    const list = 'list' in source ? source.list : source.record;
    const size = Math.ceil(count / SLICE);
    if (!(this.#results instanceof EverySlice)) {
      for (let index = 0; index < size && this.#missing === undefined; index += 1)
        this.#result(this.#id(`${list}/${index}`));
    }
    if (this.#missing !== undefined || this.#source.ignored) return [];
    const values: unknown[][] = [];
    // Batches, because a forged count must not create a huge list of promises.
    for (let start = 0; start < size && this.#missing === undefined; start += READ_TOGETHER) {
      const some: Promise<unknown[]>[] = [];
      for (let index = start; index < Math.min(start + READ_TOGETHER, size); index += 1)
        some.push(this.#fromSlice(list, index, Math.min(SLICE, count - index * SLICE), source.settled));
      values.push(...(await Promise.all(some)));
    }
    return values.flat();
  }

  async #fromSlice(
    list: string,
    index: number,
    count: number,
    isSettled: boolean | undefined,
  ): Promise<unknown[]> {
    const id = this.#id(`${list}/${index}`);
    const results = await this.#children.results(id);
    const failed = isSettled ? await this.#children.failed(id) : [];
    if (results.size === 0 && failed.length === 0) {
      this.#missing ??= this.#id(`${list}.${index * SLICE}`);
      return [];
    }
    const first = index * SLICE;
    return this.#membersOf(list, results, failed, first, first + count, isSettled);
  }

  /** Returns the results of the members from `first` to before `end`. Members that handlers added go to `#added`. */
  async #membersOf(
    list: string,
    results: ReadonlyMap<string, unknown>,
    failed: readonly FailedChild[],
    first: number,
    end: number,
    isSettled: boolean | undefined,
  ): Promise<unknown[]> {
    const failures = new Map(failed.map((child) => [child.id, child]));
    const outcomeOf = async (id: string) => {
      const failure = results.has(id) ? undefined : failures.get(id);
      if (failure !== undefined && this.#source.ignored) return undefined;
      if (failure !== undefined) return { ok: false, error: recordOf(await this.#children.origin(failure)) };
      const isLost = isSettled && !results.has(id) && !this.#children.mayBePending;
      if (isLost) return { ok: false, error: recordOf(lossOf(id)) };
      const value = await this.#resolved(this.#result(id, results));
      return isSettled ? { ok: true, value } : value;
    };
    const values: unknown[] = [];
    for (let index = first; index < end && this.#missing === undefined; index += 1)
      values.push(await outcomeOf(this.#id(`${list}.${index}`)));
    for (const id of new Set([...results.keys(), ...failures.keys()])) {
      const position = addedPosition(this.#id(list), id);
      if (position !== undefined) this.#added.push({ position, value: await outcomeOf(id) });
    }
    return values;
  }

  #result(id: string, results: ReadonlyMap<string, unknown> = this.#results): unknown {
    if (!results.has(id)) this.#missing ??= id;
    return results.get(id);
  }

  /** Returns the value, or the results if the value is a reference to those of a large group. */
  async #resolved(value: unknown): Promise<unknown> {
    const source = referredMembers(value);
    if (source === undefined || this.#source.ignored) return value;
    return readMembers(this.#job, this.#children, source);
  }

  async #failures(): Promise<readonly FailedChild[]> {
    this.#failed ??= await this.#children.failed();
    return this.#failed;
  }

  /** Returns the failed children without which there is no value. */
  async #relevantFailures(): Promise<readonly FailedChild[]> {
    const failed = await this.#failures();
    const source = this.#source;
    if (!('step' in source) && !source.settled) return failed;
    // Other children may be allowed to fail: members of a settled group that the job received before.
    const paths = [source.via, 'step' in source ? source.step : undefined];
    const needed = paths.filter((path) => path !== undefined).map((path) => this.#id(path));
    return failed.filter(({ id }) => needed.includes(id));
  }

  #id(path: string): string {
    return jobIdOf(this.#job.run, path);
  }
}

/**
 * Returns the first failure that is a cause. Skipped children are consequences: a join skips them, and if its worker dies
 * before its own outcome is stored, the next worker finds them failed as well.
 */
async function firstCause(
  children: Pick<Children, 'origin'>,
  failed: readonly FailedChild[],
): Promise<FailureOrigin> {
  let first: FailureOrigin | undefined;
  for (const child of failed) {
    const origin = await children.origin(child);
    if (origin.state !== 'skipped') return origin;
    first ??= origin;
  }
  return first ?? lossOf('unknown');
}

/** Maximum number of missing members of a settled group without slices. Larger groups have slices. */
const MAX_MISSING = 1000;

/** Returns the number of members in the result of the job that adds them. @throws {CorruptJobError} if it has none. */
export function streamedCount(via: string, { count }: Readonly<Record<string, unknown>>): number {
  if (isSize(count)) return Number(count);
  throw new CorruptJobError(via, 'its result is not a number of members');
}

/** Number of slices that are read at the same time. */
const READ_TOGETHER = 20;

/** Reads the results of a large group from its slices. @throws {UpstreamFailedError} if one is missing from the store. */
export async function readMembers(job: JoinInputs, children: Children, source: Source): Promise<unknown> {
  const { read = new Set<string>() } = job;
  const key = 'list' in source ? source.list : 'record' in source ? source.record : '';
  if (read.has(key)) throw new CorruptJobError(job.id, 'its result refers to itself');
  read.add(key);
  const whole = {
    ...children,
    results: (of = '') => (of === '' ? all() : children.results(of)),
    failed: async (of = '') => (of === '' ? [] : children.failed(of)),
    mayBePending: false,
  };
  // The join of the group has already checked that every slice completed.
  const all = async () => new EverySlice();
  const state = await collectInputs({ id: job.run, run: job.run, read }, whole, source);
  return state.kind === 'value' ? state.value : undefined;
}

/** Results in which every slice is completed. The results of slice jobs contain no data. */
class EverySlice extends Map<string, unknown> {
  override has(): boolean {
    return true;
  }
}

/** Returns the failure of a job that is missing from the store. */
export function lossOf(jobId: string): FailureOrigin {
  return { task: 'unknown', jobId, error: recordError(new LostJobError(jobId)) };
}

function flattened(value: unknown): unknown[] {
  if (Array.isArray(value)) return value.flat();
  throw new ValidationError('flat', 'input', [
    {
      path: 'input',
      message: `expected a list of lists, got ${kindOf(value)}`,
    },
  ]);
}

// Joins that need only some of their members.

/** The stored failure messages of probes. A probe fails on purpose, because a failed child starts its join at once. */
export const PROBE = { won: 'umbel:won', again: 'umbel:again' } as const;

/** Returns the message of another failure, changed if a join could mistake it for that of a probe. */
export function unlikeProbe(message: string): string {
  return message.startsWith('umbel:') ? `Error: ${message}` : message;
}

/** Returns a child that starts the waiting job at `path` by failing at once. */
export function wakingProbe(path: string): JobNode {
  return { path: `${path}!${randomUUID()}`, name: INTERNAL_JOB.probe, queue: INTERNAL_QUEUE };
}

/**
 * Decides a join with a rule: returns the results of the needed members when enough have succeeded. Each member is below a
 * probe, which fails on purpose when the member has ended, and so starts the join at once.
 * @param isFed No more members will be added, even if the feed job has not ended.
 * @throws {UpstreamFailedError} if too many members have failed.
 */
export async function collectNeeded(
  job: JoinInputs,
  children: Children,
  source: Source,
  { need = 1, single }: JoinRule,
  { isFed: isKnownFed = false } = {},
): Promise<JoinState> {
  if (!('list' in source)) throw new RangeError('Bug in Umbel: a join rule needs a list of members');
  const idOf = (path: string) => jobIdOf(job.run, path);
  const failed = new Map((await children.failed()).map((child) => [child.id, child]));
  const via = source.via === undefined ? undefined : idOf(source.via);
  const failedFeed = via === undefined ? undefined : failed.get(via);
  if (failedFeed !== undefined) throw new UpstreamFailedError(await children.origin(failedFeed));
  const results = via === undefined && source.count !== undefined ? undefined : await children.results();
  const viaResult = via === undefined ? undefined : results?.get(via);
  if (isStopped(viaResult)) return collectInputs(job, children, source);
  const count = source.count ?? (isPlainObject(viaResult) ? streamedCount(via ?? '', viaResult) : undefined);
  const isFed = isKnownFed || via === undefined || viaResult !== undefined;
  const probes = [...failed.values()].flatMap((probe) => {
    const index = probeIndex(idOf(source.list), probe.id);
    return index === undefined ? [] : [{ index, probe }];
  });
  probes.sort((a, b) => a.index - b.index);
  const won = probes.filter(({ probe }) => probe.reason === PROBE.won);
  const seen = failed.size;
  if (won.length >= need) {
    if (!isFed) return { kind: 'later' };
    const values: unknown[] = [];
    for (const { index } of won.slice(0, single ? 1 : won.length)) {
      const below = await children.results(idOf(`${source.list}.${index}!`));
      const member = idOf(`${source.list}.${index}`);
      if (!below.has(member)) throw new UpstreamFailedError(lossOf(member));
      const value = below.get(member);
      const members = single ? undefined : referredMembers(value);
      values.push(members === undefined ? value : await readMembers(job, children, members));
    }
    return { kind: 'value', value: single ? values[0] : values };
  }
  const lost = probes.flatMap(({ probe }) => (probe.reason === PROBE.won ? [] : [probe]));
  if (count !== undefined && lost.length > Math.max(count - need, 0)) {
    throw new UpstreamFailedError(await firstCause(children, lost));
  }
  if (children.mayBePending) return { kind: 'waiting', seen };
  const ended = new Set(probes.map(({ index }) => index));
  let missing = 0;
  while (ended.has(missing)) missing += 1;
  const isViaMissing = via !== undefined && viaResult === undefined;
  throw new UpstreamFailedError(lossOf(isViaMissing ? via : idOf(`${source.list}.${missing}`)));
}

/** Returns the index of the member below a probe. */
function probeIndex(list: string, id: string): number | undefined {
  if (!id.startsWith(`${list}.`)) return undefined;
  const match = /^(\d+)!$/.exec(id.slice(list.length + 1));
  return match === null ? undefined : Number(match[1]);
}
