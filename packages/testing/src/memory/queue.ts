/** The state of one queue of the memory store: jobs by state, settings, limits, schedulers and events. */

import type { ClockHandle, EngineTime } from './clock.js';
import { LinkedList, type SeededRandom, SortedSet } from './collections.js';
import { EventStream, type NextTick, type RunGate } from './events.js';
import { HistorySlots } from './history.js';
import type { JobRecord, NewJob, Placement } from './job-record.js';
import { SignalRecords } from './signals.js';
import { TagEntries } from './tags.js';

const DEFAULT_MAX_EVENTS = 10_000;

/** The settings of one queue. Settings that are read for each job are kept as numbers. */
class QueueMeta {
  readonly #fields = new Map<string, string>();
  #paused = false;
  #concurrency: number | undefined;
  #max: number | undefined;
  #duration: number | undefined;
  #maxEvents: number | undefined;

  get paused(): boolean {
    return this.#paused;
  }

  /** The limit of active jobs over all workers, if one is set. */
  get concurrency(): number | undefined {
    return this.#concurrency;
  }

  /** The limit of jobs started in one rate-limit window, if one is set for the queue. */
  get max(): number | undefined {
    return this.#max;
  }

  /** The length of a rate-limit window in milliseconds, if one is set for the queue. */
  get duration(): number | undefined {
    return this.#duration;
  }

  /** Returns the maximum number of stored events. As in BullMQ, the first read stores the default. */
  maxEvents(): number {
    if (this.#maxEvents === undefined) this.set('opts.maxLenEvents', String(DEFAULT_MAX_EVENTS));
    return this.#maxEvents ?? DEFAULT_MAX_EVENTS;
  }

  /** Whether the queue has no settings except those that reads store. */
  get isEmpty(): boolean {
    return [...this.#fields.keys()].every((field) => field.startsWith('opts.') || field === 'version');
  }

  get(field: string): string | null {
    return this.#fields.get(field) ?? null;
  }

  all(): Record<string, string> {
    return Object.fromEntries(this.#fields);
  }

  /** Sets a field. Returns whether it is new. */
  set(field: string, value: string): boolean {
    const isNew = !this.#fields.has(field);
    this.#fields.set(field, value);
    this.#refresh(field);
    return isNew;
  }

  /** Deletes a field. Returns whether it was set. */
  delete(field: string): boolean {
    const existed = this.#fields.delete(field);
    this.#refresh(field);
    return existed;
  }

  clear(): void {
    for (const field of [...this.#fields.keys()]) this.delete(field);
  }

  #refresh(field: string): void {
    const value = this.#fields.get(field);
    const amount = value === undefined ? undefined : Number(value);
    if (field === 'paused') this.#paused = value !== undefined;
    else if (field === 'concurrency') this.#concurrency = amount;
    else if (field === 'max') this.#max = amount;
    else if (field === 'duration') this.#duration = amount;
    else if (field === 'opts.maxLenEvents') this.#maxEvents = amount;
  }
}

/** A job together with the queue it belongs to. */
export interface LocatedJob {
  readonly queue: QueueData;
  readonly job: JobRecord;
}

/** The parts of a store that the commands of one queue need. */
export interface QueueDirectory {
  readonly time: EngineTime;
  readonly choice: SeededRandom;
  readonly turn: NextTick;
  readonly gate: RunGate;
  /** Returns the queue of a qualified name, and creates it if necessary. */
  queue(qualifiedName: string): QueueData;
  /** Returns the job of a `prefix:queue:id` key, if it is stored. */
  find(jobKey: string): LocatedJob | undefined;
}

/** A worker blocked until a job can be taken. */
export interface Waiter {
  /** The worker's own rate limit, if it has one. */
  readonly maxJobs: number | undefined;
  readonly wake: () => void;
}

/** The job that holds a deduplication id, until `expiresAt` if that is set. */
export interface DeduplicationEntry {
  jobId: string;
  expiresAt: number | undefined;
}

/** A job scheduler, ordered by the time of its next job. */
export interface SchedulerRecord {
  readonly id: string;
  score: number;
  fields: Record<string, string>;
}

/** Finished jobs counted per minute, newest first. */
export interface MetricsRecord {
  count: number;
  previousTime: number | undefined;
  previousCount: number;
  points: number[];
}

/** Jobs started in the current rate-limit window. */
export interface LimiterRecord {
  count: number;
  expiresAt: number | undefined;
}

/** The stored state of one queue. */
export class QueueData {
  readonly jobs = new Map<string, JobRecord>();
  readonly meta = new QueueMeta();
  readonly name: string;
  readonly events: EventStream;

  // New jobs are added at the head of a list; workers take from its tail.
  readonly wait = new LinkedList<JobRecord>();
  readonly active = new LinkedList<JobRecord>();
  readonly prioritized = new SortedSet<JobRecord>();
  readonly delayed = new SortedSet<JobRecord>();
  readonly completed = new SortedSet<JobRecord>();
  readonly failed = new SortedSet<JobRecord>();
  readonly waitingChildren = new SortedSet<JobRecord>();

  /** Used only in the queue that represents the tag index. */
  readonly tags = new TagEntries();
  /** Used only in the queue that represents the history of attempts. */
  readonly history = new HistorySlots();
  /** Used only in the queue that represents the records of signals. */
  readonly signals = new SignalRecords();

  lastId = 0;
  priorityCounter = 0;
  /** Active jobs of the last check for stalled jobs whose lock was not renewed since. */
  readonly stalling = new Set<string>();
  stalledCheckUntil = -Infinity;
  limiter: LimiterRecord | undefined = undefined;
  readonly deduplication = new Map<string, DeduplicationEntry>();
  /** Jobs to add once the active job of their deduplication id has finished. */
  readonly deduplicatedNext = new Map<string, NewJob>();
  readonly schedulers = new Map<string, SchedulerRecord>();
  /** The schedulers ordered by time. */
  readonly schedule = new SortedSet<SchedulerRecord>();
  readonly metrics = new Map<string, MetricsRecord>();

  /** Blocked workers, longest blocked first. */
  readonly waiters = new Set<Waiter>();
  /** Timer that wakes them when a delayed job is due or a rate limit ends. */
  alarm: { readonly at: number; readonly handle: ClockHandle } | undefined = undefined;

  constructor(
    readonly qualifiedName: string,
    readonly directory: QueueDirectory,
  ) {
    this.name = qualifiedName.slice(qualifiedName.lastIndexOf(':') + 1);
    this.events = new EventStream(directory.turn);
  }

  get now(): number {
    return this.directory.time.now();
  }

  /** Time for rate limits and deduplication. */
  get leaseNow(): number {
    return this.directory.time.lease();
  }

  /** Time for locks. */
  get lockNow(): number {
    return this.directory.time.lock();
  }

  keyOf(job: JobRecord): string {
    return `${this.qualifiedName}:${job.id}`;
  }

  /** Appends an event; fields and values alternate. */
  emit(...fields: string[]): void {
    this.events.add(this.now, fields);
  }

  /** Appends an event and trims the stream. */
  emitTrimmed(...fields: string[]): void {
    this.events.add(this.now, fields);
    this.events.trim(this.meta.maxEvents());
  }

  isPausedOrMaxed(): boolean {
    return this.meta.paused || this.isMaxed();
  }

  /** Whether workers may take jobs of this queue now. */
  isOpen(): boolean {
    return !this.isPausedOrMaxed() && this.directory.gate.admits(this.name);
  }

  isMaxed(): boolean {
    const { concurrency } = this.meta;
    return concurrency !== undefined && this.active.size >= concurrency;
  }

  sorted(placement: Exclude<Placement, 'wait' | 'active'>): SortedSet<JobRecord> {
    return placement === 'waiting-children' ? this.waitingChildren : this[placement];
  }

  /** Adds a job that is in no collection at the head of a list. */
  pushHead(list: 'wait' | 'active', job: JobRecord): void {
    job.placement = list;
    this[list].pushHead(job);
  }

  /** Adds a job that is in no collection at the tail of a list, as the next job. */
  pushTail(list: 'wait' | 'active', job: JobRecord): void {
    job.placement = list;
    this[list].pushTail(job);
  }

  /** Adds a job that is in no collection to a sorted set. */
  place(placement: Exclude<Placement, 'wait' | 'active'>, job: JobRecord, score: number): void {
    job.placement = placement;
    this.sorted(placement).add(job, score);
  }

  /** Removes a job from its collection. Returns the collection's name. */
  detach(job: JobRecord): Placement | undefined {
    const { placement } = job;
    if (placement === undefined) return undefined;
    if (placement === 'wait' || placement === 'active') this[placement].remove(job);
    else this.sorted(placement).remove(job);
    job.placement = undefined;
    return placement;
  }

  /** Removes a job from `placement`. Returns false if it was not there. */
  take(placement: Placement, job: JobRecord): boolean {
    if (job.placement !== placement) return false;
    this.detach(job);
    return true;
  }
}
