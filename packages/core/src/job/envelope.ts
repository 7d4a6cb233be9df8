/**
 * The stored form of a job: versioned plain JSON that every BullMQ client can read. This module writes it, and checks it
 * when it is read. See docs/architecture.md.
 */

import { CorruptJobError, type ErrorRecord, type FailureOrigin } from '../base/errors.js';
import { isListOf, isText, isTime, isTrue } from '../base/option-checks.js';
import { isPlainObject } from '../base/text.js';
import { sanitize } from '../codec/masking.js';
import {
  type Callbacks,
  type Expansion,
  foldTree,
  INTERNAL_OPTIONS,
  type JobNode,
  type JoinRule,
  type Parent,
  type Source,
} from './job-tree.js';
import { isPause, isSleep, isTurns, type Pause, type Sleep, type Turns } from './pause.js';
import {
  isScheduleProgress,
  isScheduleRecord,
  type ScheduleProgress,
  type ScheduleRecord,
} from './schedule-record.js';
import { isSharedOptions, type NormalizedOptions, type SharedOptions } from './shared-options.js';
import { type BegunWait, isBegunWait, isSignalWait, type SignalWait } from './signal-wait.js';
import { isCallbacks, isExpansion, isFed, isJoinRule, isKey, isNode, isSource } from './tree-checks.js';

// Trace links.

/** The spans to which the span of a job is linked: those of the steps whose results it received. */
export interface TraceLinks {
  /** The first `MAX_LINKS` spans, each as a `traceparent`. */
  readonly traces: readonly string[];
  /** The number of all spans. */
  readonly count: number;
}

/** The number of links that OpenTelemetry's SDKs keep per span by default. */
export const MAX_LINKS = 128;

export const NO_LINKS: TraceLinks = { traces: [], count: 0 };

export function isTraceparent(value: unknown): value is string {
  return typeof value === 'string' && /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/.test(value);
}

export function isTraceLinks(value: unknown): boolean {
  if (!isPlainObject(value) || !Array.isArray(value.traces) || !Number.isSafeInteger(value.count))
    return false;
  return value.traces.length <= MAX_LINKS && value.traces.every(isTraceparent);
}

/** Returns the tree with links on each job without children, because those receive the input of the tree. */
export function withTraceLinks(root: JobNode, links: TraceLinks | undefined): JobNode {
  if (links === undefined || links.count === 0) return root;
  return foldTree<JobNode>(root, (node, children = []) =>
    children.length > 0 ? { ...node, children } : { ...node, content: { ...node.content, links } },
  );
}

const VERSION = 1;

/**
 * Start of the data of a tagged call, and of no step of a run: tags are the first field of a call, so that a store can tell
 * without reading the data.
 */
export const TAGGED_DATA = `{"umbel":${VERSION},"tags":`;

/** Start of the data of a call that is also noted by its task. Its tags follow at once, if it has any. */
export const INDEXED_DATA = `{"umbel":${VERSION},"indexed":true`;

/** The data of a stored job. Moments are milliseconds since 1970. */
export interface Envelope {
  /** Version of this form. A job without it was not added by Umbel. */
  readonly umbel: typeof VERSION;
  /** On a call: the store notes it by its task, for the search index. */
  readonly indexed?: true;
  /** The whole input, or its bound keys if `after` supplies the rest. */
  readonly input?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly tags?: readonly string[];
  /** The `displayName`. */
  readonly label?: string;
  /** Maximum duration of an attempt, in milliseconds. */
  readonly timeout?: number;
  /** The job does not start after this moment. */
  readonly expires?: number;
  /** The sender's idempotency key, and a digest of the input that was sent with it. */
  readonly key?: string;
  readonly digest?: string;
  /** Equal calls may be added again when this one has started. */
  readonly uniqueUntilStarted?: true;
  /** Moment at which the first of the debounced calls was sent, which this call replaces. */
  readonly debouncedSince?: number;
  /** The result is not stored. */
  readonly ignoreResult?: true;
  /** The job whose handler sent this one, and the topmost job above that. */
  readonly parent?: string;
  readonly root?: string;
  /** Moment at which the job was revoked. It does not start after that. */
  readonly revoked?: number;
  /** In the job of a run: the tags whose jobs were revoked. */
  readonly revokedTags?: readonly string[];
  /** The run that this job belongs to. */
  readonly run?: string;
  /** The run exists only for the callbacks of this one call. */
  readonly alone?: true;
  /** The earlier steps that supply the rest of the input. */
  readonly after?: Source;
  /** The key that receives the value of the earlier steps. Absent: its keys are merged below the bound keys. */
  readonly into?: string;
  /** Inputs that the job processes one after the other, and the index of the first among all inputs. */
  readonly items?: readonly unknown[];
  readonly offset?: number;
  /** The members that a fan-out adds, the other step of a fallback, or the body of a loop. */
  readonly expand?: Expansion;
  /** Decides when a join has its result. */
  readonly join?: JoinRule;
  /** The replacement that the handler chose with `ctx.replace`: its value is the job's result. */
  readonly replacement?: JobNode;
  /** The replacement has been added, so if it is missing, it was lost. */
  readonly replaced?: true;
  /** Number of times the handler ran again with another input after it had replaced the job. */
  readonly epoch?: number;
  /** The handler has called `ctx.addToGroup`, or was about to. */
  readonly adds?: true;
  /** In a feed job: the members that its sender has added, or the reason why the sender stopped. */
  readonly fed?: Fed;
  /** The chain of this job ended early, so the handler did not run. */
  readonly skipped?: true;
  /** The sleep of this job, and the wait once it has begun. */
  readonly sleep?: Sleep;
  readonly pause?: Pause;
  /** The turns of a loop. */
  readonly turns?: Turns;
  /** The signal that this job waits for, and the wait once it has begun. */
  readonly wait?: SignalWait;
  readonly waiting?: BegunWait;
  /** Callbacks to send when this job has its result or has failed. */
  readonly callbacks?: Callbacks;
  /** The failure, if the job failed for good. */
  readonly failure?: FailureOrigin;
  /** Starts whose worker ended before the handler did. */
  readonly lost?: LostStarts;
  /** The last replay: its moment and its token. */
  readonly replayed?: { readonly at: number; readonly token: string };
  /** In the job of a schedule: its declaration and its state. */
  readonly schedule?: ScheduleRecord;
  readonly slots?: ScheduleProgress;
  /** In a traced step: the span of its last attempt as a `traceparent`, for jobs that receive its result. */
  readonly trace?: string;
  /** In a traced job: the spans of the steps whose results it was added with. */
  readonly links?: TraceLinks;
  /** The options of the workflow, for jobs that the handler adds to it. */
  readonly shared?: SharedOptions;
}

/** Starts of a job whose worker ended before the handler did. */
export interface LostStarts {
  /** Moments at which the losses were noticed. */
  readonly at: readonly number[];
  /** The same losses with all details. Older versions store only the moments. */
  readonly losses?: readonly LostStart[];
  /**
   * The last start that called the handler: its number, the number of stalls before it, and whether its process starts no
   * other job at the same time.
   */
  readonly begun?: { readonly start: number; readonly stalls: number; readonly alone?: true };
  /** The number of a start that was lost although its worker is alive. */
  readonly spared?: number;
  /** The losses for which the job failed as a poison job. They do not count after a replay. */
  readonly fatal?: readonly number[];
}

export interface LostStart {
  readonly at: number;
  /** Counted from 1; 0 if unknown. */
  readonly start: number;
  /** The job was the only one that ran in its process. */
  readonly alone?: true;
}

/** The progress of a large group's sender: the members it has added, or the error that stopped it. */
export type Fed = { readonly count: number; readonly sliced?: true } | { readonly error: ErrorRecord };

export type EnvelopeContent = Omit<Envelope, 'umbel'>;

export function encodeEnvelope(content: EnvelopeContent, more?: EnvelopeContent): Envelope {
  return { umbel: VERSION, ...content, ...more };
}

/** Returns whether the data of a stored job was written by any version of Umbel. */
export function isEnvelope(data: unknown): boolean {
  return isPlainObject(data) && data.umbel !== undefined;
}

/** The key of the reason in the substitute for unreadable data. */
const BROKEN = 'umbel:broken';

/** Returns a substitute for unreadable data. `decodeEnvelope` throws a `CorruptJobError` with the reason for it. */
export function brokenData(reason: string): object {
  return { umbel: 0, [BROKEN]: reason };
}

/**
 * Checks the data of a stored job, as far as this package relies on it, and returns it.
 * @throws {CorruptJobError} if another program wrote it, its version is not supported, or a field is invalid.
 */
export function decodeEnvelope(jobId: string, data: unknown): Envelope {
  if (!isPlainObject(data) || data.umbel === undefined) {
    throw new CorruptJobError(
      jobId,
      'its data is not in Umbel’s form, so another program must have added it',
    );
  }
  if (BROKEN in data) throw new CorruptJobError(jobId, String(data[BROKEN]));
  const fault = sanitize(data);
  if (fault !== undefined) throw new CorruptJobError(jobId, `its data cannot be used: ${fault}`);
  if (data.umbel !== VERSION) {
    throw new CorruptJobError(
      jobId,
      `its data has version ${JSON.stringify(data.umbel)}, this worker reads version ${VERSION}; update the older side`,
    );
  }
  for (const field in data) {
    const value = data[field];
    const kind = value === undefined ? undefined : KINDS.get(field);
    if (kind !== undefined && !kind.holds(value)) {
      throw new CorruptJobError(jobId, `its field "${field}" is not ${kind.words}`);
    }
  }
  return data as unknown as Envelope; // every present field was checked
}

/** Returns the readable fields of a job's data of any version. Invalid fields are omitted. */
export function readEnvelope(data: Envelope): Omit<Envelope, 'failure'> {
  const fields = Object.entries(data).filter(
    ([field, value]) =>
      field !== 'failure' &&
      field !== '__proto__' &&
      sanitize(value) === undefined &&
      (KINDS.get(field)?.holds(value) ?? true),
  );
  return Object.fromEntries(fields) as unknown as Envelope; // every present field was checked
}

/** A check of a field, and the words for it in errors. */
interface Kind {
  readonly words: string;
  readonly holds: (value: unknown) => boolean;
}

const TEXT: Kind = { words: 'text', holds: isText };
const TEXTS: Kind = {
  words: 'a list of text',
  holds: isListOf(isText),
};
const MOMENT: Kind = {
  words: 'a moment in milliseconds',
  holds: isTime,
};
const TRUE: Kind = { words: 'true', holds: isTrue };

/** The checks of all fields except inputs, which the task's schema checks, and `failure`, which no worker reads. */
const KINDS: ReadonlyMap<string, Kind> = new Map<
  Exclude<keyof EnvelopeContent, 'input' | 'items' | 'failure'>,
  Kind
>([
  ['headers', { words: 'an object whose values are text', holds: isTexts }],
  ['label', TEXT],
  [
    'timeout',
    { words: 'a time of more than zero', holds: (value) => typeof value === 'number' && value > 0 },
  ],
  ['expires', MOMENT],
  ['key', TEXT],
  ['digest', TEXT],
  ['uniqueUntilStarted', TRUE],
  ['debouncedSince', MOMENT],
  ['ignoreResult', TRUE],
  ['parent', TEXT],
  ['root', TEXT],
  ['revoked', MOMENT],
  ['run', TEXT],
  ['after', { words: 'a source of input', holds: isSource }],
  ['into', { words: 'text that can be a key', holds: isKey }],
  ['tags', TEXTS],
  ['indexed', TRUE],
  ['revokedTags', TEXTS],
  ['offset', { words: 'a number', holds: (value) => Number.isSafeInteger(value) }],
  ['join', { words: 'the rule of a join', holds: isJoinRule }],
  ['replacement', { words: 'the replacement of a job', holds: isNode }],
  ['fed', { words: 'a number of added members, or an error', holds: isFed }],
  ['skipped', TRUE],
  ['expand', { words: 'the expansion of a fan-out', holds: isExpansion }],
  ['lost', { words: 'a record of lost starts', holds: isLostStarts }],
  ['replayed', { words: 'a moment and a token', holds: isReplayed }],
  ['schedule', { words: 'a schedule', holds: isScheduleRecord }],
  ['slots', { words: 'the state of a schedule', holds: isScheduleProgress }],
  ['sleep', { words: 'a sleep', holds: isSleep }],
  ['pause', { words: 'a wait until a moment', holds: isPause }],
  ['turns', { words: 'the turns of a loop', holds: isTurns }],
  ['wait', { words: 'the wait for a signal', holds: isSignalWait }],
  ['waiting', { words: 'a begun wait for a signal', holds: isBegunWait }],
  ['callbacks', { words: 'lists of callbacks', holds: isCallbacks }],
  ['trace', { words: 'a traceparent', holds: isTraceparent }],
  ['links', { words: 'a list of traceparents and their number', holds: isTraceLinks }],
  ['replaced', TRUE],
  ['epoch', { words: 'a whole number', holds: (value) => Number.isSafeInteger(value) && Number(value) > 0 }],
  ['adds', TRUE],
  ['shared', { words: 'options of a workflow', holds: isSharedOptions }],
]);

function isLostStarts(value: unknown): boolean {
  if (!isPlainObject(value) || !Array.isArray(value.at) || !value.at.every((at) => MOMENT.holds(at)))
    return false;
  const { begun, fatal = [], losses = [], spared = 0 } = value;
  if (!Array.isArray(fatal) || !fatal.every((at) => MOMENT.holds(at))) return false;
  if (!Array.isArray(losses) || !losses.every(isLostStart) || !Number.isSafeInteger(spared)) return false;
  if (begun === undefined) return true;
  return isPlainObject(begun) && Number.isSafeInteger(begun.start) && Number.isSafeInteger(begun.stalls);
}

function isLostStart(value: unknown): boolean {
  return isPlainObject(value) && MOMENT.holds(value.at) && Number.isSafeInteger(value.start);
}

function isReplayed(value: unknown): boolean {
  return isPlainObject(value) && MOMENT.holds(value.at) && isText(value.token);
}

function isTexts(value: unknown): boolean {
  return isPlainObject(value) && Object.values(value).every(isText);
}

// Large groups.

/** The members of a large group, which its sender adds slice by slice after the run is stored. */
export interface MemberStream {
  /** The path of the feed job, which represents the members while they are added. */
  readonly feed: string;
  /** The path of the group. */
  readonly list: string;
  /** The job that waits for the members. */
  readonly parent: Parent;
  /** The parent inspects every member itself, so there are no slice jobs. */
  readonly unsliced?: true;
  /** Yields the planned members as their inputs are read. */
  readonly members: () => AsyncIterable<JobNode>;
  /** Yields the planned members synchronously. Absent: their inputs are read while the members are sent. */
  readonly listed?: () => Iterable<JobNode>;
}

/** If the sender does not report within this time, the feed job starts and fails. */
export const STREAM_LEASE_MS = 60_000;

/** A feed job is not retried: it starts only when its sender has disappeared. */
export const STREAM_OPTIONS: NormalizedOptions = {
  ...INTERNAL_OPTIONS,
  retry: { attempts: 1, backoff: 'fixed', delayMs: 0, maxMs: 0, jitter: false },
  delayMs: STREAM_LEASE_MS,
};
