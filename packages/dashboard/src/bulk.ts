/**
 * This module changes all jobs that match a search, as operations of this process: each first collects the ids of the jobs,
 * then changes them in slices. Pages see its progress and can abort it. What it has changed stays changed; when the process
 * ends, the same search finds the rest, because changed jobs no longer match.
 */
import { randomUUID } from 'node:crypto';
import {
  type App,
  type Duration,
  InvalidOptionError,
  isUmbelError,
  type JobPage,
  type StoredState,
} from '@umbel/core';
import type { DashboardTarget } from './actions.js';
import { parseSearch, type Search } from './search.js';

const ENDED: readonly StoredState[] = ['completed', 'failed', 'expired', 'revoked', 'skipped'];

interface BulkChange {
  /** The states of the jobs that it changes. */
  readonly states: readonly StoredState[];
  /** The action on one job, which the user must be allowed to do. */
  readonly each: 'job.replay' | 'job.revoke' | 'job.promote' | 'job.drop';
  /** Changes a job. Returns why it has not, if the app does not throw. */
  readonly change: (app: App, id: string) => Promise<string | undefined>;
}

const CHANGES = {
  'jobs.replay': {
    states: ['failed', 'expired'],
    each: 'job.replay',
    change: async (app, id) => {
      await app.deadLetters.replay(id);
      return undefined;
    },
  },
  'jobs.revoke': {
    states: ['waiting', 'delayed', 'waiting-children', 'active'],
    each: 'job.revoke',
    change: async (app, id) => ((await app.result(id).revoke()) ? undefined : 'It has ended.'),
  },
  'jobs.promote': {
    states: ['delayed'],
    each: 'job.promote',
    change: async (app, id) => ((await app.jobs.promote(id)) ? undefined : 'It is not delayed.'),
  },
  'jobs.drop': {
    states: ENDED,
    each: 'job.drop',
    change: async (app, id) => {
      await app.result(id).forget();
      return undefined;
    },
  },
} as const satisfies Readonly<Record<string, BulkChange>>;

/** Names of the bulk actions. */
export type BulkAction = keyof typeof CHANGES;

export const isBulkAction = (name: string): name is BulkAction => Object.hasOwn(CHANGES, name);

/** Returns the states of the jobs that an action changes and a search may find. */
function statesOf(
  action: BulkAction,
  { filter, excludedStates }: Pick<Search, 'filter' | 'excludedStates'>,
): readonly StoredState[] {
  const asked = filter.state === undefined ? undefined : new Set([filter.state].flat());
  return CHANGES[action].states.filter((each) => asked?.has(each) !== false && !excludedStates.has(each));
}

/** Returns the bulk actions that may change a job of a search, with the states of the jobs that each changes. */
export function bulkActionsOn(search: Search): Partial<Record<BulkAction, readonly StoredState[]>> {
  const actions = (Object.keys(CHANGES) as BulkAction[]).map(
    (action) => [action, statesOf(action, search)] as const,
  );
  return Object.fromEntries(actions.filter(([, states]) => states.length > 0));
}

/** An operation as pages see it. */
export interface BulkOperation {
  readonly id: string;
  readonly action: BulkAction;
  /** The search text. */
  readonly q: string;
  /** Name of the user who started it. */
  readonly user: string;
  readonly state: 'collecting' | 'running' | 'done' | 'aborted' | 'failed';
  readonly startedAt: Date;
  readonly endedAt?: Date;
  /** Number of jobs to change: of those that were found so far while it is `collecting`. */
  readonly total: number;
  readonly changed: number;
  readonly skipped: number;
  /** Why jobs were skipped, at most 10 different reasons. */
  readonly reasons: readonly string[];
  /** Whether there are more jobs than one operation changes. */
  readonly isCut: boolean;
  /** Why it failed. */
  readonly error?: string;
}

/** The user of an operation. */
export interface BulkUser {
  readonly name: string;
  readonly isAllowed: (action: BulkChange['each'], target: DashboardTarget) => Promise<boolean>;
}

/** Maximum number of jobs of one operation: their ids are in memory. */
const MAX_JOBS = 100_000;
/** Maximum number of pages of core that a preview reads: 1,000 jobs each. */
const PREVIEW_PAGES = 20;
const PAGE = 1000;
/** Number of jobs that are changed concurrently. */
const SLICE = 25;
const MAX_RUNNING = 3;
/** Number of ended operations that pages can see. */
const MAX_ENDED = 20;
const MAX_REASONS = 10;

/** Ids of a page of found jobs. */
interface FoundIds extends Pick<JobPage<never>, 'notIndexed'> {
  readonly ids: readonly string[];
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

interface BulkDependencies {
  readonly app: App;
  readonly lateAfter: Duration;
  /** Called after each progress. */
  readonly onProgress: () => void;
  readonly onEnd: (operation: BulkOperation) => void;
}

/** The operations of a dashboard. */
export class BulkOperations {
  readonly #dependencies: BulkDependencies;
  readonly #operations = new Map<string, { readonly facts: Mutable<BulkOperation>; isAborted: boolean }>();

  constructor(dependencies: BulkDependencies) {
    this.#dependencies = dependencies;
  }

  /** The operations, the latest first. */
  get all(): readonly BulkOperation[] {
    return [...this.#operations.values()].map(({ facts }) => ({ ...facts })).reverse();
  }

  /**
   * Counts the jobs that an action would change now. It reads at most 20,000 jobs: `isComplete` is false if there may be more.
   * @throws {InvalidOptionError} if the search is invalid, or finds no jobs in a state that the action changes.
   */
  async preview(action: BulkAction, q: string): Promise<{ count: number; isComplete: boolean }> {
    let count = 0;
    let pages = 0;
    let isComplete = true;
    for await (const { ids, notIndexed = 0 } of this.#found(action, q, new Date(), false)) {
      count += ids.length;
      pages += 1;
      isComplete &&= notIndexed === 0;
      if (pages === PREVIEW_PAGES) return { count, isComplete: false };
    }
    return { count, isComplete };
  }

  /**
   * Starts an operation, and returns it at once.
   * @throws {InvalidOptionError} as `preview`, or if too many operations run.
   */
  start(action: BulkAction, q: string, user: BulkUser): BulkOperation {
    const running = this.all.filter(({ endedAt }) => endedAt === undefined);
    if (running.length >= MAX_RUNNING)
      throw new InvalidOptionError('action', `at most ${MAX_RUNNING} operations at a time`, running.length);
    const startedAt = new Date();
    const found = this.#found(action, q, startedAt, true);
    const facts: Mutable<BulkOperation> = {
      ...{ id: randomUUID(), action, q, user: user.name, state: 'collecting', startedAt },
      ...{ total: 0, changed: 0, skipped: 0, reasons: [], isCut: false },
    };
    const operation = { facts, isAborted: false };
    this.#operations.set(facts.id, operation);
    this.#forgetOld();
    void this.#run(operation, found, user);
    return { ...facts };
  }

  /** Stops an operation after its current slice. Returns false if it has ended or is unknown. */
  abort(id: string): boolean {
    const operation = this.#operations.get(id);
    if (operation === undefined || operation.facts.endedAt !== undefined) return false;
    operation.isAborted = true;
    return true;
  }

  /** Aborts all operations. */
  close(): void {
    for (const id of this.#operations.keys()) this.abort(id);
  }

  async #run(
    operation: { readonly facts: Mutable<BulkOperation>; readonly isAborted: boolean },
    found: AsyncGenerator<FoundIds>,
    user: BulkUser,
  ): Promise<void> {
    const { facts } = operation;
    try {
      const ids = new Set<string>();
      for await (const some of found) {
        for (const id of some.ids) if (ids.size < MAX_JOBS) ids.add(id);
        facts.total = ids.size;
        facts.isCut = ids.size === MAX_JOBS;
        this.#dependencies.onProgress();
        if (operation.isAborted || facts.isCut) break;
      }
      facts.state = 'running';
      const all = [...ids];
      for (let start = 0; start < all.length && !operation.isAborted; start += SLICE) {
        const slice = all.slice(start, start + SLICE);
        await Promise.all(slice.map((id) => this.#change(facts, id, user)));
        this.#dependencies.onProgress();
      }
      facts.state = operation.isAborted ? 'aborted' : 'done';
    } catch (error) {
      facts.state = 'failed';
      facts.error = messageOf(error);
    }
    facts.endedAt = new Date();
    this.#dependencies.onEnd({ ...facts });
    this.#dependencies.onProgress();
  }

  /** Changes one job. @throws {ConnectionError} or {ClosedError} if the store cannot be reached. */
  async #change(facts: Mutable<BulkOperation>, id: string, user: BulkUser): Promise<void> {
    const { each, change } = CHANGES[facts.action];
    const reason = (await user.isAllowed(each, { kind: 'job', id }))
      ? await change(this.#dependencies.app, id).catch((error: unknown) => {
          if (isUmbelError(error, 'CONNECTION') || isUmbelError(error, 'CLOSED')) throw error;
          return messageOf(error);
        })
      : 'You may not do that.';
    if (reason === undefined) {
      facts.changed += 1;
      return;
    }
    facts.skipped += 1;
    const { reasons } = facts;
    // Messages name the job; one of each kind is enough.
    const kind = reason.replaceAll(id, '…');
    if (reasons.length < MAX_REASONS && !reasons.includes(kind)) facts.reasons = [...reasons, kind];
  }

  /** Returns the ids of jobs that match, page by page. Jobs that are sent or end after `now` do not match. */
  #found(action: BulkAction, q: string, now: Date, waitForIndex: boolean): AsyncGenerator<FoundIds> {
    const { app, lateAfter } = this.#dependencies;
    const search = parseSearch(q, { now, isIndexed: app.describe().searchIndex });
    const { state: _state, until, ...others } = search.filter;
    const states = statesOf(action, search);
    if (states.length === 0)
      throw new InvalidOptionError('q', `a search for jobs that are ${CHANGES[action].states.join(', ')}`, q);
    const end = new Date(now.getTime() + 1); // `until` leaves out what was sent in its own millisecond
    const filter = {
      ...others,
      state: states,
      until: until !== undefined && until < end ? until : end,
      lateAfter,
    };
    return (async function* () {
      let cursor: string | undefined;
      do {
        const page = await app.jobs.list({ ...filter, limit: PAGE, cursor, waitForIndex });
        const ids = page.items.filter(search.matches).map(({ id }) => id);
        yield { ids, ...(page.notIndexed !== undefined && { notIndexed: page.notIndexed }) };
        cursor = page.cursor;
      } while (cursor !== undefined);
    })();
  }

  #forgetOld(): void {
    const ended = [...this.#operations.values()].filter(({ facts }) => facts.endedAt !== undefined);
    for (const { facts } of ended.slice(0, Math.max(0, ended.length - MAX_ENDED)))
      this.#operations.delete(facts.id);
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
