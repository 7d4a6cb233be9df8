/** What a job's children give: its input, or the failure that stops it. */

import { randomUUID } from 'node:crypto';
import {
  CorruptJobError,
  type FailureOrigin,
  LostJobError,
  UpstreamFailedError,
  ValidationError,
} from '../base/errors.js';
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
import { type AddedPlace, addedPlace, inOrder } from './added-members.js';

/** The jobs that a job waited for. */
export interface Children {
  /** Results of those that completed, by job id; of another internal job's children, if its id is given. */
  results(of?: string): Promise<ReadonlyMap<string, unknown>>;
  /** Those that failed; of another internal job's, if its id is given. */
  failed(of?: string): Promise<readonly FailedChild[]>;
  /** Why one failed. */
  origin(child: FailedChild): Promise<FailureOrigin>;
  /** Whether some of them may not have ended. */
  readonly mayBePending: boolean;
}

/** What there is for a job to go on with. */
export type JoinState =
  | { readonly kind: 'value'; readonly value: unknown }
  /** Its chain has ended early: the job's result, as it is stored; if by what the job stands for, with the value. */
  | { readonly kind: 'stopped'; readonly result: unknown; readonly own?: { readonly value: unknown } }
  /** Some of its children have not ended; `seen` of them have failed. */
  | { readonly kind: 'waiting'; readonly seen?: number }
  /** There is enough, but more children are just being added. */
  | { readonly kind: 'later' };

/** The job that gathers. */
export interface JoinInputs {
  readonly id: string;
  readonly run: string;
  /** Large groups whose members were read for this value: stored data may say that one is in itself. */
  readonly read?: Set<string>;
}

/**
 * What `source` describes, read from the job's children.
 * @throws {UpstreamFailedError} if one of them failed, or is gone from the store without an outcome. (A failed child
 * starts its parent at once, so its siblings may still be running.)
 */
export async function collectInputs(job: JoinInputs, children: Children, source: Source): Promise<JoinState> {
  const gathering = new Gathering(job, children, source);
  return gathering.run();
}

class Gathering {
  readonly #job: JoinInputs;
  readonly #children: Children;
  readonly #source: Source;
  #results: ReadonlyMap<string, unknown> = new Map();
  #failed: readonly FailedChild[] | undefined;
  /** Members that other members have added; they come after those that were declared. */
  readonly #added: { readonly place: AddedPlace; readonly value: unknown }[] = [];
  /** The first job whose outcome is not there. */
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
      // Members that others have added are not declared: none of them is missed.
      const failed = 'list' in this.#source && !this.#source.settled ? await this.#failures() : [];
      if (failed.length > 0) throw new UpstreamFailedError(await firstCause(this.#children, failed));
      if (this.#source.ignored) return { kind: 'value', value: undefined };
      return { kind: 'value', value: this.#source.flat ? flattened(value) : value };
    }
    const failures = await this.#failuresThatCount();
    if (failures.length > 0) throw new UpstreamFailedError(await firstCause(this.#children, failures));
    if (this.#children.mayBePending) return { kind: 'waiting' };
    throw new UpstreamFailedError(lossOf(this.#missing));
  }

  /** The early end of a chain, passed on to the end of that chain. */
  #stopped(): JoinState | undefined {
    const source = this.#source;
    const paths = [source.via, 'step' in source ? source.step : undefined];
    const results = paths.map((path) => (path === undefined ? undefined : this.#results.get(this.#id(path))));
    const mark = results.find(isStopped);
    if (mark === undefined) return undefined;
    const own = pathOf(this.#job.run, this.#job.id);
    const chain = stoppedChain(mark);
    const { value } = mark;
    const isOwn = isInside(own, mark.by);
    if (isWithin(chain, own)) return { kind: 'stopped', result: mark, ...(isOwn && { own: { value } }) };
    if (own === chain) return { kind: 'stopped', result: value };
    return { kind: 'value', value: source.flat ? flattened(value) : value };
  }

  async #assemble(source: Source): Promise<unknown> {
    if ('step' in source) {
      const told = source.via === undefined ? undefined : this.#results.get(this.#id(source.via));
      if (isPassedOn(told)) return passedValue(told);
      return this.#resolved(this.#result(this.#id(source.step)));
    }
    const size = this.#sizeOf(source);
    if (size === undefined) return undefined;
    const values = size.sliced
      ? await this.#fromSlices(source, size.count)
      : await this.#fromMembers(source, size.count);
    if ('record' in source) return Object.fromEntries(source.keys.map((key, index) => [key, values[index]]));
    this.#added.sort((a, b) => inOrder(a.place, b.place));
    const declared = source.chunked ? values.flat() : values;
    return [...declared, ...this.#added.map(({ value }) => value)];
  }

  /** How many members there are; undefined if that is not known yet. */
  #sizeOf(source: ListSource | RecordSource): { count: number; sliced: boolean } | undefined {
    const added = source.via === undefined ? undefined : this.#result(this.#id(source.via));
    if (this.#missing !== undefined) return undefined;
    const told = isPlainObject(added) ? added : {};
    const declared = 'record' in source ? source.keys.length : source.count;
    return {
      count: declared ?? streamedCount(source.via ?? '', told),
      sliced: source.sliced === true || told.sliced === true,
    };
  }

  async #fromMembers(source: ListSource | RecordSource, count: number): Promise<unknown[]> {
    const list = 'list' in source ? source.list : source.record;
    const failed = source.settled ? await this.#failures() : [];
    // Those that are missing end any other list.
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
    // As many as there are, and no list of as many as there are said to be.
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

  /** Results of the members from `first` to before `end`; those that they have added are kept. */
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
      const place = addedPlace(this.#id(list), id);
      if (place !== undefined) this.#added.push({ place, value: await outcomeOf(id) });
    }
    return values;
  }

  #result(id: string, results: ReadonlyMap<string, unknown> = this.#results): unknown {
    if (!results.has(id)) this.#missing ??= id;
    return results.get(id);
  }

  /** The value, or the results that it stands for. */
  async #resolved(value: unknown): Promise<unknown> {
    const source = referredMembers(value);
    if (source === undefined || this.#source.ignored) return value;
    return readMembers(this.#job, this.#children, source);
  }

  async #failures(): Promise<readonly FailedChild[]> {
    this.#failed ??= await this.#children.failed();
    return this.#failed;
  }

  /** The failed children without which there is no value. */
  async #failuresThatCount(): Promise<readonly FailedChild[]> {
    const failed = await this.#failures();
    const source = this.#source;
    if (!('step' in source) && !source.settled) return failed;
    // Of the other children, some may have failed as they may: members of a settled group that the job took before.
    const paths = [source.via, 'step' in source ? source.step : undefined];
    const needed = paths.filter((path) => path !== undefined).map((path) => this.#id(path));
    return failed.filter(({ id }) => needed.includes(id));
  }

  #id(path: string): string {
    return jobIdOf(this.#job.run, path);
  }
}

/**
 * Why the first of these failed that did so by itself. Others may only have been skipped for it: a join that has ended
 * them, and whose worker has died before that was stored, finds them failed as well.
 */
export async function firstCause(
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

/** Members that may be missing among those that may fail; more are in slices. */
const MAX_MISSING = 1000;

/** How many members the job that adds them says that there are. @throws {CorruptJobError} if that is no number of members. */
export function streamedCount(via: string, { count }: Readonly<Record<string, unknown>>): number {
  if (isSize(count)) return Number(count);
  throw new CorruptJobError(via, 'its result is no number of members');
}

/** Slices that are read at the same time. */
const READ_TOGETHER = 20;

/** The results of a large group, read from its slices. @throws {UpstreamFailedError} if one is gone from the store. */
export async function readMembers(job: JoinInputs, children: Children, source: Source): Promise<unknown> {
  const { read = new Set<string>() } = job;
  const key = 'list' in source ? source.list : 'record' in source ? source.record : '';
  if (read.has(key)) throw new CorruptJobError(job.id, 'its result stands for itself');
  read.add(key);
  const whole = {
    ...children,
    results: (of = '') => (of === '' ? all() : children.results(of)),
    failed: async (of = '') => (of === '' ? [] : children.failed(of)),
    mayBePending: false,
  };
  // The job that joined them has seen every slice.
  const all = async () => new EverySlice();
  const gathered = await collectInputs({ id: job.run, run: job.run, read }, whole, source);
  return gathered.kind === 'value' ? gathered.value : undefined;
}

/** Stands for the results of slices, which say nothing themselves. */
class EverySlice extends Map<string, unknown> {
  override has(): boolean {
    return true;
  }
}

/** The failure of a job that is gone. */
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

// What a join has that needs only some of its members.

/** What a probe fails with, so that its join is started at once. */
export const PROBE = { won: 'umbel:won', again: 'umbel:again' } as const;

/** The words of a failure that is no probe's, so that a join does not take them for a probe's. */
export function unlikeProbe(message: string): string {
  return message.startsWith('umbel:') ? `Error: ${message}` : message;
}

/** A child that starts the job at `path`, which waits, by failing at once. */
export function wakingProbe(path: string): JobNode {
  return { path: `${path}!${randomUUID()}`, name: INTERNAL_JOB.probe, queue: INTERNAL_QUEUE };
}

/**
 * What a join with a rule of its own has: the results of the members that it needs, once enough have succeeded. Each
 * member stands below a probe, which fails on purpose once the member has ended, and so starts the join at once.
 * @param isFed Nothing is added any more, whatever the store says of the job that adds.
 * @throws {UpstreamFailedError} if too many have failed.
 */
export async function collectNeeded(
  job: JoinInputs,
  children: Children,
  source: Source,
  { need = 1, single }: JoinRule,
  { isFed: isKnownFed = false } = {},
): Promise<JoinState> {
  if (!('list' in source)) throw new RangeError('a rule of its own is for lists');
  const idOf = (path: string) => jobIdOf(job.run, path);
  const failed = new Map((await children.failed()).map((child) => [child.id, child]));
  const via = source.via === undefined ? undefined : idOf(source.via);
  const unfed = via === undefined ? undefined : failed.get(via);
  if (unfed !== undefined) throw new UpstreamFailedError(await children.origin(unfed));
  const results = via === undefined && source.count !== undefined ? undefined : await children.results();
  const told = via === undefined ? undefined : results?.get(via);
  if (isStopped(told)) return collectInputs(job, children, source);
  const count = source.count ?? (isPlainObject(told) ? streamedCount(via ?? '', told) : undefined);
  const isFed = isKnownFed || via === undefined || told !== undefined;
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
  let gone = 0;
  while (ended.has(gone)) gone += 1;
  const isViaGone = via !== undefined && told === undefined;
  throw new UpstreamFailedError(lossOf(isViaGone ? via : idOf(`${source.list}.${gone}`)));
}

/** Which member a probe stands above. */
function probeIndex(list: string, id: string): number | undefined {
  if (!id.startsWith(`${list}.`)) return undefined;
  const match = /^(\d+)!$/.exec(id.slice(list.length + 1));
  return match === null ? undefined : Number(match[1]);
}
