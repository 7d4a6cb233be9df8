/** This module stores the schedules that the code declares, and lists, pauses, resumes, runs and removes stored ones. */
import { randomUUID } from 'node:crypto';
import { isUmbelError, ScheduleError, UnknownScheduleError } from '../base/errors.js';
import { checkBoolean, checkInteger, checkOptions, type OptionNames } from '../base/option-checks.js';
import type { AsyncResult } from '../client/async-result.js';
import type { InputChecks } from '../client/input-checks.js';
import { StoredResult } from '../client/result.js';
import type { Runtime } from '../client/runtime.js';
import type { JobSender } from '../client/sender.js';
import type { ResultDependencies } from '../client/wait.js';
import type { Sealer } from '../codec/codecs.js';
import { type JobNode, sealTree } from '../job/job-tree.js';
import { noted, type ScheduleRecord } from '../job/schedule-record.js';
import { type ScheduleStore, scheduleId } from '../store/schedules.js';
import type { Store } from '../store/store.js';
import { inputDigest } from '../task/deduplication.js';
import { nextOccurrences, type Timing } from '../timing/timing.js';
import { infoOf, type ScheduleInfo, UPCOMING_OCCURRENCES, unstored } from './handle.js';
import type { ScheduleTimes } from './options.js';
import { fire, sleepMs } from './runner.js';

/** Names of schedules, by the result of a `sync`. */
export interface SyncReport {
  /** Schedules that were not in the store. */
  readonly added: readonly string[];
  /** Schedules that were stored with other options, and now have those of this program. */
  readonly changed: readonly string[];
  readonly unchanged: readonly string[];
  /** Stored schedules that this program does not declare, and that `prune` removed. */
  readonly removed: readonly string[];
  /** Stored schedules that this program does not declare. Without `prune` they stay: another program may declare them. */
  readonly undeclared: readonly string[];
}

/** Options of `app.schedules.sync`. */
export interface SyncOptions {
  /** Removes schedules that this program does not declare. Default false. */
  prune?: boolean | undefined;
}

const SYNC: OptionNames<SyncOptions> = { prune: true };

/** Number of schedules that are read or stored concurrently. */
const CONCURRENCY = 50;
/** Number of recent runs that `list` and `info` return. */
const RUNS = { list: 5, info: 20 };

type Stored = 'added' | 'changed' | 'unchanged';

export class Scheduling {
  readonly #dependencies: ScheduleDependencies;

  constructor(dependencies: ScheduleDependencies) {
    this.#dependencies = dependencies;
  }

  /** Stores the declared schedules. @throws {ScheduleError} before anything is stored, if an input does not fit. */
  async sync(options: SyncOptions = {}): Promise<SyncReport> {
    const { prune = false } = checkOptions(options, SYNC);
    checkBoolean('prune', prune);
    const { declarations, schedules, checks } = this.#dependencies;
    const declared = declarations.all();
    for (const { name, target } of declared) {
      await checks.checkTree(target).catch((cause: unknown) => {
        throw refusedSchedule(name, cause);
      });
    }
    await schedules.note(declared.map(({ name }) => name));
    const stored = await inSlices(declared, async (declaration) => ({
      name: declaration.name,
      as: await this.#put(declaration),
    }));
    const names = await schedules.names();
    const others = await inSlices(
      names.filter((name) => declarations.get(name) === undefined),
      async (name) => ({ name, isThere: (await schedules.find(name)) !== undefined }),
    );
    const undeclared = others.filter(({ isThere }) => isThere).map(({ name }) => name);
    if (prune) for (const { name } of others) await this.remove(name);
    const namesOf = (as: Stored) =>
      stored
        .filter((each) => each.as === as)
        .map(({ name }) => name)
        .sort();
    return {
      added: namesOf('added'),
      changed: namesOf('changed'),
      unchanged: namesOf('unchanged'),
      removed: prune ? undeclared : [],
      undeclared: prune ? [] : undeclared,
    };
  }

  /** Syncs when a worker starts, and logs the changes. */
  async syncAtStart(): Promise<void> {
    const { declarations, info, warn } = this.#dependencies;
    if (declarations.all().length === 0) return;
    const { added, changed, undeclared } = await this.sync();
    if (added.length > 0) info(`schedules added: ${added.join(', ')}`);
    if (changed.length > 0) info(`schedules changed: ${changed.join(', ')}`);
    if (undeclared.length > 0) {
      warn(
        `the store has schedules that this program does not declare; they still fire: ${undeclared.join(', ')}. ` +
          'If no other program declares them, remove them with app.schedules.sync({ prune: true }).',
      );
    }
  }

  async list(): Promise<ScheduleInfo[]> {
    const { declarations, schedules } = this.#dependencies;
    const names = new Set([...(await schedules.names()), ...declarations.all().map(({ name }) => name)]);
    const infos = await inSlices([...names].sort(), (name) => this.#info(name, RUNS.list));
    return infos.filter((info) => info !== undefined);
  }

  async info(name: string): Promise<ScheduleInfo> {
    const info = await this.#info(name, RUNS.info);
    if (info === undefined) throw new UnknownScheduleError(name);
    return info;
  }

  /** Returns the next occurrences of the stored schedule, or of the declared one if none is stored. */
  async next(name: string, count: number = UPCOMING_OCCURRENCES): Promise<Date[]> {
    checkInteger('count', count, 0, 1000);
    const stored = await this.#find(name);
    const known = stored ?? this.#dependencies.declarations.get(name);
    if (known === undefined) throw new UnknownScheduleError(name);
    const now = this.#now();
    return nextOccurrences(known, Math.max(now, stored?.since ?? now), count).map(
      (occurrence) => new Date(occurrence),
    );
  }

  async pause(name: string): Promise<void> {
    await this.#change(name, (record, now) => ({ ...record, paused: record.paused ?? now }));
  }

  async resume(name: string): Promise<void> {
    await this.#change(name, ({ paused, ...record }, now) =>
      paused === undefined ? record : { ...record, since: now },
    );
  }

  async runNow(name: string): Promise<AsyncResult<unknown>> {
    const record = await this.#find(name);
    if (record === undefined) throw new UnknownScheduleError(name);
    const occurrence = this.#now();
    const open = await fire(
      this.#dependencies,
      record,
      `${scheduleId(name)}-now-${randomUUID()}`,
      occurrence,
    );
    const { id, queue, at } = open;
    await this.#dependencies.schedules.change(name, ({ slots = {}, ...rest }) => ({
      ...rest,
      slots: noted(slots, {
        runs: [{ slot: occurrence, at, outcome: 'fired', id, queue, manual: true }],
        ...(record.overlap !== 'allow' && { opened: [open] }),
      }),
    }));
    return new StoredResult(this.#dependencies.results, { queue }, id);
  }

  async remove(name: string): Promise<void> {
    await this.#dependencies.store.timeKnown();
    await this.#dependencies.schedules.remove(name, this.#now());
  }

  async #info(name: string, runs: number): Promise<ScheduleInfo | undefined> {
    const { declarations, schedules } = this.#dependencies;
    const declared = declarations.get(name);
    const job = await schedules.find(name);
    if (job === undefined) return declared && unstored(declared, this.#now());
    return infoOf(this.#dependencies, name, job, declared, this.#now(), runs);
  }

  /** Returns the stored schedule, or undefined if it is not stored or cannot be read. */
  async #find(name: string): Promise<ScheduleRecord | undefined> {
    const job = await this.#dependencies.schedules.find(name);
    return job?.finishedAt === undefined ? job?.envelope?.schedule : undefined;
  }

  async #put(declaration: Declaration): Promise<Stored> {
    const { schedules } = this.#dependencies;
    const { name, digest } = declaration;
    const stored = await this.#find(name);
    if (stored?.digest === digest) return 'unchanged';
    const now = this.#now();
    const fresh = await this.#recordOf(declaration, now);
    await schedules.add(
      name,
      { schedule: fresh },
      sleepMs(fresh, {}, now, { leadMs: this.#dependencies.runtime.scheduleLeadMs }),
    );
    let isChanged = false;
    await schedules.change(name, ({ schedule, slots }) => {
      // No change: `add` stored it, or another program has stored the same schedule.
      isChanged = schedule?.digest !== digest || schedule.removed !== undefined;
      if (!isChanged) return undefined;
      if (schedule === undefined || schedule.removed !== undefined) return { schedule: fresh };
      return { schedule: replaceRecord(schedule, fresh), ...(slots !== undefined && { slots }) };
    });
    if (isChanged) await schedules.wake(name);
    return stored === undefined ? 'added' : 'changed';
  }

  async #recordOf({ target, ...rest }: Declaration, now: number): Promise<ScheduleRecord> {
    const sealed = await sealTree(this.#dependencies.sealer, scheduleId(rest.name), target);
    return { ...rest, source: 'code', since: now, target: sealed };
  }

  async #change(
    name: string,
    change: (record: ScheduleRecord, now: number) => ScheduleRecord,
  ): Promise<void> {
    const { schedules } = this.#dependencies;
    if ((await this.#find(name)) === undefined) throw new UnknownScheduleError(name);
    const now = this.#now(); // exact, because the read before has synchronized the clock with the store
    await schedules.change(name, ({ schedule, ...rest }) =>
      schedule === undefined ? undefined : { ...rest, schedule: change(schedule, now) },
    );
    await schedules.wake(name);
  }

  #now(): number {
    return this.#dependencies.runtime.clock.now();
  }
}

/** Returns the new record of a changed schedule. It stays paused, and keeps `since` if its occurrences are the same. */
function replaceRecord(before: ScheduleRecord, fresh: ScheduleRecord): ScheduleRecord {
  const hasSameOccurrences =
    inputDigest(occurrenceRulesOf(before.timing)) === inputDigest(occurrenceRulesOf(fresh.timing));
  return {
    ...fresh,
    since: hasSameOccurrences ? before.since : fresh.since,
    ...(before.paused !== undefined && { paused: before.paused }),
  };
}

function occurrenceRulesOf({ jitterMs: _jitter, ...timing }: Timing): object {
  return timing;
}

/** Returns a `ScheduleError` for a validation error; other errors are returned unchanged. */
export function refusedSchedule(name: string, cause: unknown): unknown {
  if (!isUmbelError(cause, 'VALIDATION')) return cause;
  return new ScheduleError(name, `cannot be stored: ${cause.message}`, { cause });
}

async function inSlices<Item, Answer>(
  items: readonly Item[],
  call: (item: Item) => Promise<Answer>,
): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (let start = 0; start < items.length; start += CONCURRENCY)
    answers.push(...(await Promise.all(items.slice(start, start + CONCURRENCY).map(call))));
  return answers;
}

// Declared schedules

/** A schedule that the code of this process declares. */
export interface Declaration extends ScheduleTimes {
  readonly name: string;
  /** The jobs to send, with plain inputs: no codec has encoded them. */
  readonly target: JobNode;
  /** Hash of the declaration, equal in all processes. */
  readonly digest: string;
}

/** The schedules that the code of this process declares, by name. */
export class Declarations {
  readonly #byName = new Map<string, Declaration>();

  /** @throws {ScheduleError} if the name is taken. */
  add(name: string, times: ScheduleTimes, target: JobNode): void {
    if (this.#byName.has(name)) {
      throw new ScheduleError(name, 'is already declared in this app. Rename one of the two.');
    }
    this.#byName.set(name, { ...times, name, target, digest: inputDigest({ ...times, target }) });
  }

  get(name: string): Declaration | undefined {
    return this.#byName.get(name);
  }

  all(): Declaration[] {
    return [...this.#byName.values()];
  }
}

/** Dependencies of `Scheduling` and of the job of a schedule. */
export interface ScheduleDependencies {
  readonly declarations: Declarations;
  readonly schedules: ScheduleStore;
  readonly store: Store;
  readonly results: ResultDependencies;
  readonly runtime: Runtime;
  readonly sending: JobSender;
  readonly checks: InputChecks;
  readonly sealer: Sealer;
  readonly info: (message: string) => void;
  readonly warn: (message: string) => void;
  readonly onError: (error: Error) => void;
}
