/**
 * Control messages and their replies: types, stored form and checks. Any program may write to these streams, so every
 * field is checked when it is read.
 */

import { clearTimeout, setTimeout } from '../base/real-timers.js';
import { isPlainObject } from '../base/text.js';
import { sanitize } from '../codec/masking.js';
import { replyPosition, replyReader, type StoredMessage, type StoredReply } from '../store/control-queue.js';
import type { EventFields, EventReader } from '../store/events.js';
import type { BackendOptions } from '../store/queue-pool.js';
import type { Store } from '../store/store.js';

/** Unchecked fields of a message. The readers below return undefined for an invalid value. */
export type Fields = Readonly<Record<string, unknown>>;

/** Parses a JSON text of at most `maxBytes`; undefined if it is invalid or has a key `__proto__`. */
export function parsed(text: string | undefined, maxBytes: number): unknown {
  if (text === undefined || text.length > maxBytes) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return sanitize(value) === undefined ? value : undefined;
  } catch {
    return undefined; // not JSON
  }
}

export function recordFields(value: unknown): Fields {
  return isPlainObject(value) ? value : {};
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** Reads a text and removes control characters, which could manipulate a terminal. */
export function textOf(value: unknown, maxLength = 300): string | undefined {
  if (typeof value !== 'string') return undefined;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are removed here
  return value.slice(0, maxLength).replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '');
}

/** Reads a number that is not negative: a count, milliseconds or bytes. */
export function countOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : undefined;
}

/** Reads a time in milliseconds that `Date` can hold. */
export function timeOf(value: unknown): Date | undefined {
  return typeof value === 'number' && Math.abs(value) <= 8.64e15 ? new Date(value) : undefined;
}

/** Reads a number and limits it to the range from 0 to 1. */
export function ratioOf(value: unknown): number | undefined {
  const count = countOf(value);
  return count === undefined ? undefined : Math.min(1, count);
}

const WORKER_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Whether a text has the form of a worker id (a UUID). */
export function isWorkerId(text: string): boolean {
  return text.length === 36 && WORKER_ID.test(text);
}

const QUERIES = ['ping', 'active', 'stats', 'registered', 'conf'] as const;
const COMMANDS = ['set-concurrency', 'add-queue', 'cancel-queue', 'shutdown'] as const;

export type ControlMessageKind = (typeof QUERIES)[number] | (typeof COMMANDS)[number];

/** A query or a command to workers. */
export interface ControlMessage {
  readonly id: string;
  readonly kind: ControlMessageKind;
  /** Ids of the recipients; undefined: all workers. */
  readonly to: ReadonlySet<string> | undefined;
  readonly args: Fields;
  /** Deadline by the clock of the store: after it, the sender no longer waits for the answer. */
  readonly until: number;
}

/** Longest wait for answers. */
export const MAX_WAIT_MS = 600_000;
const MAX_ARGS_BYTES = 65_536;
const MAX_TO_BYTES = 1_048_576;

export function storedMessage(message: ControlMessage): StoredMessage {
  const { id, kind, to, args, until } = message;
  return {
    id,
    kind,
    ...(to !== undefined && { to: JSON.stringify([...to]) }),
    args: JSON.stringify(args),
    until: Math.round(until),
  };
}

/** Parses a control message; returns the reason as text if it is invalid. */
export function readMessage(fields: EventFields): ControlMessage | string {
  const id = fields.get('id') ?? '';
  if (!isWorkerId(id)) return 'its id is missing or invalid';
  const kind = [...QUERIES, ...COMMANDS].find((known) => known === fields.get('kind'));
  if (kind === undefined) return 'this version does not know its kind';
  const until = Number(fields.get('until'));
  if (!Number.isFinite(until)) return 'its deadline is missing or invalid';
  const args = parsed(fields.get('args'), MAX_ARGS_BYTES);
  if (recordFields(args) !== args) return 'its arguments are invalid';
  const recipients = parsed(fields.get('to'), MAX_TO_BYTES);
  if (fields.has('to') && !Array.isArray(recipients)) return 'its list of recipients is invalid';
  return {
    id,
    kind,
    to: Array.isArray(recipients) ? new Set(recipients.map(String)) : undefined,
    args: recordFields(args),
    until,
  };
}

/** How long the subscription stays open after the last message, for the next one. */
const IDLE_MS = 5000;

/** Receives the replies to this app's control messages, over one subscription that is open only while it is needed. */
export class Replies {
  readonly #store: Store;
  readonly #options: BackendOptions;
  readonly #listeners = new Map<string, (reply: StoredReply) => void>();
  #reader: Promise<EventReader> | undefined;
  #idle: NodeJS.Timeout | undefined;

  constructor(store: Store, options: BackendOptions) {
    this.#store = store;
    this.#options = options;
  }

  /** Passes replies to a message id to `onReply`, once this resolves; returns a function that stops it. */
  async expect(id: string, onReply: (reply: StoredReply) => void): Promise<() => void> {
    clearTimeout(this.#idle);
    this.#listeners.set(id, onReply);
    const stop = () => {
      this.#listeners.delete(id);
      if (this.#listeners.size > 0) return;
      clearTimeout(this.#idle);
      this.#idle = setTimeout(() => void this.close(), IDLE_MS);
      this.#idle.unref();
    };
    this.#reader ??= this.#open();
    try {
      await this.#reader;
    } catch (error) {
      this.#reader = undefined;
      stop();
      throw error;
    }
    return stop;
  }

  async close(): Promise<void> {
    clearTimeout(this.#idle);
    const reader = this.#reader;
    this.#reader = undefined;
    await (await reader?.catch(() => undefined))?.close();
  }

  async #open(): Promise<EventReader> {
    const from = await replyPosition(this.#store);
    return replyReader(this.#options, from, (reply) => this.#listeners.get(reply.to)?.(reply));
  }
}
