import { JobStateError, UnknownJobError } from '../errors.js';
import { type RunGraph, runGraph } from '../graph/run-graph.js';
import { type RunCounts, runCountsOf } from '../graph/tally.js';
import { randomId } from '../random-id.js';
import { refuseUnbound } from '../tasks/unbound.js';
import type { AsyncResult, GetOptions, JobInfo, Outcome, RevokeOptions } from './async-result.js';
import type { CollectedTask, MemberOutcome, PageEntry, PageOptions } from './member-outcome.js';
import { checkGet, isTerminating, rangeOf } from './options.js';
import { membersOfValue } from './run/value-members.js';
import type { JobState } from './state.js';
import { untilAborted } from './waiting.js';

/** The handle of what needed no job. */
export class ReadyResult implements AsyncResult<unknown> {
  readonly id = randomId();
  readonly #value: unknown;

  constructor(value: unknown) {
    this.#value = value;
  }

  async state(): Promise<JobState> {
    return 'completed';
  }

  async get(options: GetOptions = {}): Promise<unknown> {
    checkGet(options).signal?.throwIfAborted();
    return this.#value;
  }

  async outcome(options: GetOptions = {}): Promise<Outcome<unknown>> {
    checkGet(options).signal?.throwIfAborted();
    return { ok: true, value: this.#value };
  }

  async *progress(options: GetOptions = {}): AsyncIterableIterator<unknown> {
    checkGet(options);
    yield* [];
  }

  async info(): Promise<JobInfo> {
    throw new UnknownJobError(this.id, undefined);
  }

  async logs(): Promise<string[]> {
    return [];
  }

  async revoke(options: RevokeOptions = {}): Promise<boolean> {
    isTerminating(options);
    return false;
  }

  async resume(): Promise<number> {
    throw new JobStateError('An empty group has its result: there is nothing to resume.');
  }

  async forget(): Promise<void> {}

  async graph(): Promise<RunGraph> {
    return runGraph({ id: this.id, before: [] }, this.id);
  }

  async counts(): Promise<RunCounts> {
    return runCountsOf({ id: this.id, before: [] });
  }

  async children(): Promise<AsyncResult<unknown>[]> {
    return [];
  }

  async parent(): Promise<undefined> {}

  members(options: GetOptions = {}): AsyncIterableIterator<MemberOutcome<unknown>> {
    const { signal } = checkGet(options);
    return untilAborted(membersOfValue(this.#value), signal);
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<MemberOutcome<unknown>> {
    return this.members();
  }

  async page(options: PageOptions = {}): Promise<PageEntry<unknown>[]> {
    const { offset, limit } = rangeOf(options);
    return membersOfValue(this.#value).slice(offset, offset + limit);
  }

  async *collect(options: GetOptions = {}): AsyncIterableIterator<CollectedTask> {
    checkGet(options);
    yield* [];
  }
}

refuseUnbound(ReadyResult, 'result');
