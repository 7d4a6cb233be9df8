/** The stored form of a job: versioned, plain JSON, readable by any BullMQ client. See docs/architecture.md. */

import { CorruptJobError, type ErrorRecord, type FailureOrigin } from '../base/errors.js';
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
import { isScheduleRecord, isSlotsRecord, type ScheduleRecord, type SlotsRecord } from './schedule-record.js';
import { isSharedOptions, type NormalizedOptions, type SharedOptions } from './shared-options.js';
import {
  isCallbacks,
  isExpansion,
  isFed,
  isJoinRule,
  isKey,
  isNode,
  isSource,
  isText,
} from './tree-checks.js';

// The spans that a job's span is linked to: of the steps whose results it took.

export interface TraceLinks {
  /** Each as a `traceparent`; the first `MAX_LINKS` of them. */
  readonly traces: readonly string[];
  /** How many there were. */
  readonly count: number;
}

/** As many as OpenTelemetry's SDKs keep of one span, by default. */
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

/** The tree with links on each of its jobs that waits for no other, and so takes what the tree is given. */
export function withTraceLinks(root: JobNode, links: TraceLinks | undefined): JobNode {
  if (links === undefined || links.count === 0) return root;
  return foldTree<JobNode>(root, (node, children = []) =>
    children.length > 0 ? { ...node, children } : { ...node, content: { ...node.content, links } },
  );
}

const VERSION = 1;

/** What is stored as a job's data. */
export interface Envelope {
  /** Version of this form; its presence tells Umbel's jobs from others. */
  readonly umbel: typeof VERSION;
  /** The whole input, or the keys that are bound when `after` brings the rest. */
  readonly input?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Labels to search and revoke by. */
  readonly tags?: readonly string[];
  /** A name for people. */
  readonly label?: string;
  /** Longest time of an attempt, in milliseconds. */
  readonly timeout?: number;
  /** The job never starts after this moment, in milliseconds since 1970. */
  readonly expires?: number;
  /** The sender's idempotency key, and a digest of the input that came with it. */
  readonly key?: string;
  readonly digest?: string;
  /** Calls that are the same are added from when this one has started. */
  readonly uniqueUntilStarted?: true;
  /** When the first of the calls was sent whose place this one takes, in milliseconds since 1970. */
  readonly debouncedSince?: number;
  /** The result is not to be stored. */
  readonly ignoreResult?: true;
  /** The job whose handler sent this one, and the first of all above it. */
  readonly parent?: string;
  readonly root?: string;
  /** When the job was revoked, in milliseconds since 1970: it does not start any more. */
  readonly revoked?: number;
  /** Of a run: the tags whose jobs were revoked. */
  readonly revokedTags?: readonly string[];
  /** The run this job is a step of. */
  readonly run?: string;
  /** The run only carries the callbacks of this one call. */
  readonly alone?: true;
  /** Which earlier steps bring the rest of the input. */
  readonly after?: Source;
  /** The key that takes what the earlier steps bring; absent: their keys are merged under the bound ones. */
  readonly into?: string;
  /** Inputs that the job takes in turn, and the place of the first among those of the whole. */
  readonly items?: readonly unknown[];
  readonly offset?: number;
  /** A fan-out's members, or a fallback's other step. */
  readonly expand?: Expansion;
  /** When a join has its result. */
  readonly join?: JoinRule;
  /** What a handler has put in its job's place: its value is the job's result. */
  readonly replacement?: JobNode;
  /** What stands in the job's place has been added: if it is gone, it is lost. */
  readonly replaced?: true;
  /** How often the handler was run anew, with other input, after it had put something in its job's place. */
  readonly epoch?: number;
  /** The handler has added to its group, or was about to. */
  readonly adds?: true;
  /** Of a feed: what its sender has added, or why it stopped. */
  readonly fed?: Fed;
  /** The chain of the job had ended early: its handler did not run. */
  readonly skipped?: true;
  /** What to send once this job has its result or its failure. */
  readonly callbacks?: Callbacks;
  /** Why the job failed for good. */
  readonly failure?: FailureOrigin;
  /** Starts whose worker ended before the handler did. */
  readonly lost?: LostStarts;
  /** When the job was queued again after it had failed, in milliseconds since 1970, and which replay it was. */
  readonly replayed?: { readonly at: number; readonly token: string };
  /** Of the job of a schedule: what it is, and how far it has come. */
  readonly schedule?: ScheduleRecord;
  readonly slots?: SlotsRecord;
  /** Of a traced step: the span of its last attempt, as a `traceparent`, for whoever takes its result. */
  readonly trace?: string;
  /** The spans of those whose results it was added with, where tasks are traced. */
  readonly links?: TraceLinks;
  /** The options of the workflow, for what the handler adds to it. */
  readonly shared?: SharedOptions;
}

/** Starts of a job whose worker ended before the handler did. */
export interface LostStarts {
  /** When they were noticed, in milliseconds since 1970. */
  readonly at: readonly number[];
  /** The same losses in full. Older versions store the times only. */
  readonly losses?: readonly LostStart[];
  /**
   * The last start whose handler was called: its number, how often the store had put the job back by then, and whether no
   * other job is started in its process meanwhile.
   */
  readonly begun?: { readonly start: number; readonly stalls: number; readonly alone?: true };
  /** The number of a start that was lost although its worker lives. */
  readonly spared?: number;
  /** Those for which the job was failed as poison. They do not count when it is queued again. */
  readonly fatal?: readonly number[];
}

export interface LostStart {
  readonly at: number;
  /** Counted from 1; 0 if it is not known. */
  readonly start: number;
  readonly alone?: true;
}

/** What the sender of a large group has added. */
export type Fed = { readonly count: number; readonly sliced?: true } | { readonly error: ErrorRecord };

export type EnvelopeContent = Omit<Envelope, 'umbel'>;

export function encodeEnvelope(content: EnvelopeContent, more?: EnvelopeContent): Envelope {
  return { umbel: VERSION, ...content, ...more };
}

/** Whether a stored job's data was written by Umbel, whatever its version. */
export function isEnvelope(data: unknown): boolean {
  return isPlainObject(data) && data.umbel !== undefined;
}

/** The key of what stands in for data that cannot be read. */
const BROKEN = 'umbel:broken';

/** Stands in for data that cannot be read, so that the job is handled as one of Umbel's that cannot be run. */
export function brokenData(reason: string): object {
  return { umbel: 0, [BROKEN]: reason };
}

/**
 * A stored job's data, checked as far as this package relies on it.
 * @throws {CorruptJobError} if it is not Umbel's, of a version that this package does not read, or a field is not what
 * this package writes.
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
  for (const field of Object.keys(data)) {
    const value = data[field];
    const kind = value === undefined ? undefined : KINDS.get(field);
    if (kind !== undefined && !kind.holds(value)) {
      throw new CorruptJobError(jobId, `its field "${field}" is not ${kind.words}`);
    }
  }
  return data as unknown as Envelope; // every field that it has was checked
}

/** What can be read of the data of one of Umbel's jobs, of whatever version: fields of another kind are left out. */
export function readEnvelope(data: Envelope): Omit<Envelope, 'failure'> {
  const fields = Object.entries(data).filter(
    ([field, value]) =>
      field !== 'failure' &&
      field !== '__proto__' &&
      sanitize(value) === undefined &&
      (KINDS.get(field)?.holds(value) ?? true),
  );
  return Object.fromEntries(fields) as unknown as Envelope; // every field that it has was checked
}

interface Kind {
  readonly words: string;
  readonly holds: (value: unknown) => boolean;
}

/** What a `Date` can be, in milliseconds since 1970. */
const MAX_TIME = 8.64e15;

const TEXT: Kind = { words: 'text', holds: isText };
const TEXTS: Kind = {
  words: 'a list of text',
  holds: (value) => Array.isArray(value) && value.every(isText),
};
const MOMENT: Kind = {
  words: 'a moment in milliseconds',
  holds: (value) => typeof value === 'number' && Math.abs(value) <= MAX_TIME,
};

/** What the fields are, but for the inputs, which its task's schema describes, and the failure, which no worker reads. */
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
  ['uniqueUntilStarted', { words: 'true', holds: (value) => value === true }],
  ['debouncedSince', MOMENT],
  ['ignoreResult', { words: 'true', holds: (value) => value === true }],
  ['parent', TEXT],
  ['root', TEXT],
  ['revoked', MOMENT],
  ['run', TEXT],
  ['after', { words: 'a source of input', holds: isSource }],
  ['into', { words: 'text that can be a key', holds: isKey }],
  ['tags', TEXTS],
  ['revokedTags', TEXTS],
  ['offset', { words: 'a number', holds: (value) => Number.isSafeInteger(value) }],
  ['join', { words: 'the rule of a join', holds: isJoinRule }],
  ['replacement', { words: 'what stands in the place of a job', holds: isNode }],
  ['fed', { words: 'what a sender has added', holds: isFed }],
  ['skipped', { words: 'true', holds: (value) => value === true }],
  ['expand', { words: 'what a fan-out adds', holds: isExpansion }],
  ['lost', { words: 'what is known of lost starts', holds: isLostStarts }],
  ['replayed', { words: 'a moment and a token', holds: isReplayed }],
  ['schedule', { words: 'a schedule', holds: isScheduleRecord }],
  ['slots', { words: 'what is known of the slots of a schedule', holds: isSlotsRecord }],
  ['callbacks', { words: 'lists of what is to be sent', holds: isCallbacks }],
  ['trace', { words: 'a traceparent', holds: isTraceparent }],
  ['links', { words: 'a list of traceparents and their number', holds: isTraceLinks }],
  ['replaced', { words: 'true', holds: (value) => value === true }],
  ['epoch', { words: 'a whole number', holds: (value) => Number.isSafeInteger(value) && Number(value) > 0 }],
  ['adds', { words: 'true', holds: (value) => value === true }],
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

// Members of a large group, which its sender adds one slice after the other once the run is stored.

export interface MemberStream {
  /** The path of the job that stands for the members while they are added. */
  readonly feed: string;
  /** The path of the group. */
  readonly list: string;
  /** The job that waits for the members. */
  readonly parent: Parent;
  /** It looks at each member itself. */
  readonly unsliced?: true;
  /** The members, planned, as they are read. */
  readonly members: () => AsyncIterable<JobNode>;
  /** The same at once. Absent: they are read as they are sent. */
  readonly listed?: () => Iterable<JobNode>;
}

/** After this long without a sign of life from the sender, the feed starts, and fails. */
export const STREAM_LEASE_MS = 60_000;

/** A feed has nothing to try again: its sender is there or not. */
export const STREAM_OPTIONS: NormalizedOptions = {
  ...INTERNAL_OPTIONS,
  retry: { attempts: 1, backoff: 'fixed', delayMs: 0, maxMs: 0, jitter: false },
  delayMs: STREAM_LEASE_MS,
};
