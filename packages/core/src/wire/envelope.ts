/** The stored form of a job: versioned, plain JSON, readable by any BullMQ client. See docs/architecture.md. */
import { CorruptJobError, type FailureOrigin } from '../errors.js';
import type { Callbacks, Expansion, Source } from '../flow/node.js';
import { isPlainObject } from './json.js';

const VERSION = 1;

/** What is stored as a job's data. */
export interface Envelope {
  /** Version of this form; its presence tells Umbel's jobs from others. */
  readonly umbel: typeof VERSION;
  /** The whole input, or the keys that are bound when `after` brings the rest. */
  readonly input?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** A name for people. */
  readonly label?: string;
  /** Longest time of an attempt, in milliseconds. */
  readonly timeout?: number;
  /** The job never starts after this moment, in milliseconds since 1970. */
  readonly expires?: number;
  /** The sender's idempotency key, and a digest of the input that came with it. */
  readonly key?: string;
  readonly digest?: string;
  /** The result is not to be stored. */
  readonly ignoreResult?: true;
  /** The job whose handler sent this one, and the first of all above it. */
  readonly parent?: string;
  readonly root?: string;
  /** When the job was revoked, in milliseconds since 1970: it does not start any more. */
  readonly revoked?: number;
  /** The run this job is a step of. */
  readonly run?: string;
  /** Which earlier steps bring the rest of the input. */
  readonly after?: Source;
  /** The key that takes what the earlier steps bring; absent: their keys are merged under the bound ones. */
  readonly into?: string;
  /** A fan-out's members. */
  readonly expand?: Expansion;
  /** What to send once this job has its result or its failure. */
  readonly callbacks?: Callbacks;
  /** Why the job failed for good. */
  readonly failure?: FailureOrigin;
}

export type EnvelopeContent = Omit<Envelope, 'umbel'>;

export function encodeEnvelope(content: EnvelopeContent): Envelope {
  return { umbel: VERSION, ...content };
}

/** Whether a stored job's data was written by Umbel, whatever its version. */
export function isEnvelope(data: unknown): boolean {
  return isPlainObject(data) && data.umbel !== undefined;
}

/**
 * A stored job's data, checked as far as this package relies on it.
 * @throws {CorruptJobError} if it is not Umbel's, or of a version that this package does not read.
 */
export function decodeEnvelope(jobId: string, data: unknown): Envelope {
  if (!isPlainObject(data) || data.umbel === undefined) {
    throw new CorruptJobError(
      jobId,
      'its data is not in Umbel’s form, so another program must have added it',
    );
  }
  if (data.umbel !== VERSION) {
    throw new CorruptJobError(
      jobId,
      `its data has version ${JSON.stringify(data.umbel)}, this worker reads version ${VERSION}; update the older side`,
    );
  }
  return data as unknown as Envelope; // sound for what this package wrote; fields are read where they are used
}
