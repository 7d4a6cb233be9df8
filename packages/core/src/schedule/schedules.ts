/** The schedules of an app: storing what the code declares, and looking after what is stored. */
import { randomUUID } from 'node:crypto';
import { isUmbelError, ScheduleError, UnknownScheduleError } from '../base/errors.js';
import { checkBoolean, checkInteger, checkOptions, type OptionNames } from '../base/option-checks.js';
import type { AsyncResult } from '../client/async-result.js';
import type { InputChecks } from '../client/input-checks.js';
import { StoredResult } from '../client/result.js';
import type { Runtime } from '../client/runtime.js';
import type { JobSender } from '../client/sender.js';
import type { ResultParts } from '../client/wait.js';
import type { Sealer } from '../codec/codecs.js';
import { type JobNode, sealTree } from '../job/job-tree.js';
import { noted, type ScheduleRecord } from '../job/schedule-record.js';
import { type ScheduleStore, scheduleId } from '../store/schedules.js';
import type { Store } from '../store/store.js';
import { inputDigest } from '../task/deduplication.js';
import { nextSlots, type Timing } from '../timing/timing.js';
import { infoOf, NEXT_SLOTS, type ScheduleInfo, unstored } from './handle.js';
import type { ScheduleTimes } from './options.js';
import { fire, sleepMs } from './runner.js';

/** What a sync did, by the names of schedules. */
export interface SyncReport {
  /** Were not in the store. */
  readonly added: readonly string[];
  /** Were declared otherwise, and are now as this program declares them. */
  readonly changed: readonly string[];
  readonly unchanged: readonly string[];
  /** Were in the store, are not declared by this program, and are removed now (`prune`). */
  readonly removed: readonly string[];
  /** The same without `prune`: they stay, since another program of the app may declare them. */
  readonly undeclared: readonly string[];
}

export interface SyncOptions {
  /** Removes schedules that this program does not declare. Default false. */
  prune?: boolean | undefined;
}

const SYNC: OptionNames<SyncOptions> = { prune: true };

/** Schedules that are looked at in one go. */
const AT_ONCE = 50;
const RUNS = { listed: 5, told: 20 };

type Stored = 'added' | 'changed' | 'unchanged';

export class Scheduling {
  readonly #parts: ScheduleParts;

  constructor(parts: ScheduleParts) {
    this.#parts = parts;
  }

  /** Stores what the code declares. @throws {ScheduleError} before anything is stored, if an input does not fit. */
  async sync(options: SyncOptions = {}): Promise<SyncReport> {
    const { prune = false } = checkOptions(options, SYNC);
    checkBoolean('prune', prune);
    const { declarations, schedules, checks } = this.#parts;
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
    const those = (as: Stored) =>
      stored
        .filter((each) => each.as === as)
        .map(({ name }) => name)
        .sort();
    return {
      added: those('added'),
      changed: those('changed'),
      unchanged: those('unchanged'),
      removed: prune ? undeclared : [],
      undeclared: prune ? [] : undeclared,
    };
  }

  /** The same for a worker that starts, which tells what it did. */
  async syncAtStart(): Promise<void> {
    const { declarations, info, warn } = this.#parts;
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
    const { declarations, schedules } = this.#parts;
    const names = new Set([...(await schedules.names()), ...declarations.all().map(({ name }) => name)]);
    const infos = await inSlices([...names].sort(), (name) => this.#info(name, RUNS.listed));
    return infos.filter((info) => info !== undefined);
  }

  async info(name: string): Promise<ScheduleInfo> {
    const info = await this.#info(name, RUNS.told);
    if (info === undefined) throw new UnknownScheduleError(name);
    return info;
  }

  /** The next slots: of what is stored, or else of what is declared. */
  async next(name: string, count: number = NEXT_SLOTS): Promise<Date[]> {
    checkInteger('count', count, 0, 1000);
    const stored = await this.#find(name);
    const known = stored ?? this.#parts.declarations.get(name);
    if (known === undefined) throw new UnknownScheduleError(name);
    const now = this.#now();
    return nextSlots(known, Math.max(now, stored?.since ?? now), count).map((slot) => new Date(slot));
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
    const slot = this.#now();
    const open = await fire(this.#parts, record, `${scheduleId(name)}-now-${randomUUID()}`, slot);
    const { id, queue, at } = open;
    await this.#parts.schedules.change(name, ({ slots = {}, ...rest }) => ({
      ...rest,
      slots: noted(slots, {
        runs: [{ slot, at, outcome: 'fired', id, queue, manual: true }],
        ...(record.overlap !== 'allow' && { opened: [open] }),
      }),
    }));
    return new StoredResult(this.#parts.results, { queue }, id);
  }

  async remove(name: string): Promise<void> {
    await this.#parts.store.timeKnown();
    await this.#parts.schedules.remove(name, this.#now());
  }

  async #info(name: string, runs: number): Promise<ScheduleInfo | undefined> {
    const { declarations, schedules } = this.#parts;
    const declared = declarations.get(name);
    const job = await schedules.find(name);
    if (job === undefined) return declared && unstored(declared, this.#now());
    return infoOf(this.#parts, name, job, declared, this.#now(), runs);
  }

  /** What is stored of a schedule, if it can be read. */
  async #find(name: string): Promise<ScheduleRecord | undefined> {
    const job = await this.#parts.schedules.find(name);
    return job?.finishedAt === undefined ? job?.envelope?.schedule : undefined;
  }

  /** Stores a declaration. */
  async #put(declaration: Declaration): Promise<Stored> {
    const { schedules } = this.#parts;
    const { name, digest } = declaration;
    const stored = await this.#find(name);
    if (stored?.digest === digest) return 'unchanged';
    const now = this.#now();
    const fresh = await this.#recordOf(declaration, now);
    await schedules.add(name, { schedule: fresh }, sleepMs(fresh, {}, now));
    let isOther = false;
    await schedules.change(name, ({ schedule, slots }) => {
      // As it is now: it was just added, or another program has stored the same.
      isOther = schedule?.digest !== digest || schedule.removed !== undefined;
      if (!isOther) return undefined;
      if (schedule === undefined || schedule.removed !== undefined) return { schedule: fresh };
      return { schedule: succeeding(schedule, fresh), ...(slots !== undefined && { slots }) };
    });
    if (isOther) await schedules.wake(name);
    return stored === undefined ? 'added' : 'changed';
  }

  async #recordOf({ target, ...rest }: Declaration, now: number): Promise<ScheduleRecord> {
    const sealed = await sealTree(this.#parts.sealer, scheduleId(rest.name), target);
    return { ...rest, source: 'code', since: now, target: sealed };
  }

  async #change(
    name: string,
    change: (record: ScheduleRecord, now: number) => ScheduleRecord,
  ): Promise<void> {
    const { schedules } = this.#parts;
    if ((await this.#find(name)) === undefined) throw new UnknownScheduleError(name);
    const now = this.#now(); // the store was just asked, so its time is known
    await schedules.change(name, ({ schedule, ...rest }) =>
      schedule === undefined ? undefined : { ...rest, schedule: change(schedule, now) },
    );
    await schedules.wake(name);
  }

  #now(): number {
    return this.#parts.runtime.clock.now();
  }
}

/** A schedule in the place of an earlier one: still paused, and with its slots if those are the same. */
function succeeding(before: ScheduleRecord, fresh: ScheduleRecord): ScheduleRecord {
  const hasSameSlots = inputDigest(slotsOf(before.timing)) === inputDigest(slotsOf(fresh.timing));
  return {
    ...fresh,
    since: hasSameSlots ? before.since : fresh.since,
    ...(before.paused !== undefined && { paused: before.paused }),
  };
}

function slotsOf({ jitterMs: _jitter, ...timing }: Timing): object {
  return timing;
}

/** What says that a schedule cannot be stored, from what says why. */
export function refusedSchedule(name: string, cause: unknown): unknown {
  if (!isUmbelError(cause, 'VALIDATION')) return cause;
  return new ScheduleError(name, `cannot be stored: ${cause.message}`, { cause });
}

async function inSlices<Item, Answer>(
  items: readonly Item[],
  ask: (item: Item) => Promise<Answer>,
): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (let start = 0; start < items.length; start += AT_ONCE)
    answers.push(...(await Promise.all(items.slice(start, start + AT_ONCE).map(ask))));
  return answers;
}

// The schedules that the code of this process declares.

export interface Declaration extends ScheduleTimes {
  readonly name: string;
  /** Its inputs are not sealed. */
  readonly target: JobNode;
  /** The same for the same declaration, in whatever process. */
  readonly digest: string;
}

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

/** What an app keeps its schedules with. */
export interface ScheduleParts {
  readonly declarations: Declarations;
  readonly schedules: ScheduleStore;
  readonly store: Store;
  readonly results: ResultParts;
  readonly runtime: Runtime;
  readonly sending: JobSender;
  readonly checks: InputChecks;
  readonly sealer: Sealer;
  readonly info: (message: string) => void;
  readonly warn: (message: string) => void;
  readonly onError: (error: Error) => void;
}
