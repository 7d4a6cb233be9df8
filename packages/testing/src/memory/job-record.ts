/** The stored form of a job and its options in the memory store. */

import {
  type FinishedStatus,
  type JobJson,
  type JobProgress,
  type JobsOptions,
  optsEncodeMap,
  type ParentKeys,
} from 'bullmq';
import type { Linked, Scored } from './collections.js';

/** The collection of a queue that contains a job. */
export type Placement = FinishedStatus | 'wait' | 'active' | 'prioritized' | 'delayed' | 'waiting-children';

/** The children of a parent by their state. Keys have the form `prefix:queue:id`. */
export class Children {
  /** Unfinished children. */
  readonly pending = new Set<string>();
  /** Completed children with the JSON text of their result. */
  readonly processed = new Map<string, string>();
  /** Failed children that the parent ignores, with the reason. */
  readonly ignored = new Map<string, string>();
  /** Failed children that fail the parent, with the time of the failure. */
  readonly unsuccessful = new Map<string, number>();
}

/** The stored state of one job. */
export class JobRecord implements Linked<JobRecord>, Scored {
  previous: JobRecord | undefined = undefined;
  next: JobRecord | undefined = undefined;
  score = 0;
  placement: Placement | undefined = undefined;

  delay = 0;
  priority = 0;
  attemptsMade = 0;
  attemptsStarted = 0;
  stalledCounter = 0;
  processedOn: number | undefined = undefined;
  finishedOn: number | undefined = undefined;
  /** JSON text. */
  progress: string | undefined = undefined;
  /** JSON text. */
  returnvalue: string | undefined = undefined;
  failedReason: string | undefined = undefined;
  /** JSON text. */
  stacktrace: string | undefined = undefined;
  deferredFailure: string | undefined = undefined;
  processedBy: string | undefined = undefined;
  repeatJobKey: string | undefined = undefined;
  deduplicationId: string | undefined = undefined;
  parentKey: string | undefined = undefined;
  parent: ParentKeys | undefined = undefined;
  children: Children | undefined = undefined;
  logs: string[] | undefined = undefined;
  /** Whether a child of the same flow could not be attached, so that the flow must not release this job. */
  attachmentFailed = false;

  lockToken: string | undefined = undefined;
  lockedUntil = 0;

  constructor(
    readonly id: string,
    readonly name: string,
    /** JSON text. */
    public data: string,
    readonly opts: StoredOptions,
    readonly timestamp: number,
  ) {}
}

/** A job about to be stored. */
export interface NewJob {
  readonly id: string;
  readonly name: string;
  readonly data: string;
  readonly opts: StoredOptions;
  /** Time by the engine's clock. */
  readonly timestamp: number;
  readonly parentKey: string | undefined;
  readonly parent: ParentKeys | undefined;
  readonly repeatJobKey: string | undefined;
}

/** The stored options of a job: a copy as plain JSON data, without absent values. */
export interface StoredOptions {
  readonly values: JobsOptions;
  /** Whether no value is a mutable object, so that a shallow copy is enough. */
  readonly flat: boolean;
}

let previous: StoredOptions = { values: {}, flat: true };

/** Returns a copy of a producer's options. */
export function storeOptions(opts: JobsOptions | undefined): StoredOptions {
  const stored = detached(opts);
  // Most producers add many jobs with equal options: one immutable copy is shared.
  if (!stored.flat || !sameValues(stored.values, previous.values)) previous = stored;
  return previous;
}

function sameValues(a: object, b: object): boolean {
  const [left, right] = [Object.entries(a), Object.entries(b)];
  return (
    left.length === right.length &&
    left.every(([name, value], at) => right[at]?.[0] === name && right[at]?.[1] === value)
  );
}

function detached(opts: JobsOptions | undefined): StoredOptions {
  const values: Record<string, unknown> = {};
  let flat = true;
  for (const [name, value] of Object.entries(opts ?? {})) {
    const kept = name === 'telemetry' ? telemetryFields(value) : value;
    if (kept === undefined || kept === null || typeof kept === 'function') continue;
    if (typeof kept !== 'object' || isFixed(kept)) {
      values[name] = kept;
    } else {
      flat = false;
      values[name] = plain(kept);
    }
  }
  return { values, flat };
}

/** Whether an object can be stored without a copy: it is frozen, and JSON would not change it. */
function isFixed(value: object): boolean {
  return (
    Object.isFrozen(value) &&
    Object.getPrototypeOf(value) === Object.prototype &&
    Object.values(value).every(
      (inner) => typeof inner === 'string' || typeof inner === 'boolean' || Number.isFinite(inner),
    )
  );
}

/** Returns a copy of stored options. */
function readOptions(stored: StoredOptions): JobsOptions {
  return stored.flat ? { ...stored.values } : (copy(stored.values) as JobsOptions);
}

/** Returns stored options with some values replaced. */
export function withOptions(stored: StoredOptions, changes: JobsOptions): StoredOptions {
  return { values: { ...stored.values, ...changes }, flat: stored.flat };
}

const SHORT_NAMES: Readonly<Record<string, string>> = optsEncodeMap;

/** Returns the JSON text of a scheduler's template options, with BullMQ's abbreviated names. */
export function encodeOptions(opts: JobsOptions | undefined): string {
  const encoded: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(storeOptions(opts).values)) {
    if (name === 'telemetry') {
      const { metadata, omitContext } = value as { metadata?: string; omitContext?: boolean };
      if (metadata !== undefined) encoded.tm = metadata;
      if (omitContext !== undefined) encoded.omc = omitContext;
    } else {
      encoded[SHORT_NAMES[name] ?? name] = value;
    }
  }
  return JSON.stringify(encoded);
}

// BullMQ stores only these two fields of the telemetry option.
function telemetryFields(value: unknown): object | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { metadata, omitContext } = value as { metadata?: unknown; omitContext?: unknown };
  if (metadata === undefined && omitContext === undefined) return undefined;
  return {
    ...(metadata === undefined ? {} : { metadata }),
    ...(omitContext === undefined ? {} : { omitContext }),
  };
}

// As in JSON for Redis, undefined values in objects disappear.
function plain(value: object): unknown {
  return JSON.parse(
    JSON.stringify(value, (_key, inner: unknown) => (inner === null ? undefined : inner)),
  ) as unknown;
}

function copy(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(copy);
  const result: Record<string, unknown> = {};
  for (const [name, inner] of Object.entries(value)) result[name] = copy(inner);
  return result;
}

/** Returns a copy of a stored job in the form of which BullMQ builds its `Job`. The id is passed separately. */
export function toJobJson(job: JobRecord): JobJson {
  const json = {
    id: undefined,
    name: job.name,
    data: job.data || '{}',
    opts: readOptions(job.opts),
    progress: job.progress === undefined ? 0 : (JSON.parse(job.progress) as JobProgress),
    delay: Math.trunc(job.delay),
    priority: job.priority,
    timestamp: Math.trunc(job.timestamp),
    attemptsStarted: job.attemptsStarted,
    attemptsMade: job.attemptsMade,
    stalledCounter: job.stalledCounter,
    finishedOn: job.finishedOn,
    processedOn: job.processedOn,
    repeatJobKey: job.repeatJobKey,
    debounceId: job.deduplicationId,
    deduplicationId: job.deduplicationId,
    failedReason: job.failedReason,
    deferredFailure: job.deferredFailure,
    stacktrace: job.stacktrace,
    returnvalue: job.returnvalue,
    parentKey: job.parentKey,
    parent: job.parent && copyParent(job.parent),
    processedBy: job.processedBy,
  };
  // Sound: BullMQ's Redis backend returns the same fields, absent ones as undefined.
  return json as unknown as JobJson;
}

/** Returns the job that BullMQ's Redis backend returns for a missing child: all values are absent. */
export function missingJobJson(): JobJson {
  const empty = toJobJson(new JobRecord('', '', '', storeOptions(undefined), Number.NaN));
  return Object.assign(empty, { name: undefined, delay: Number.NaN, priority: Number.NaN });
}

function copyParent(parent: ParentKeys): ParentKeys {
  return { ...parent };
}
