/** What a worker can be asked and told. */

import { clearTimeout, setTimeout } from '../base/real-timers.js';
import { isPlainObject } from '../base/text.js';
import { sanitize } from '../codec/masking.js';
import { replyPosition, replyReader, type StoredOrder, type StoredReply } from '../store/control-queue.js';
import type { EventFields, EventReader } from '../store/events.js';
import type { BackendOptions } from '../store/queue-pool.js';
import type { Store } from '../store/store.js';

// Reads what other processes have written, where anybody may have written anything: what does not fit is undefined.

export type Fields = Readonly<Record<string, unknown>>;

/** The value of a JSON text of at most so many bytes, without keys `__proto__`. */
export function parsed(text: string | undefined, maxBytes: number): unknown {
  if (text === undefined || text.length > maxBytes) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return sanitize(value) === undefined ? value : undefined;
  } catch {
    return undefined; // no JSON
  }
}

export function recordFields(value: unknown): Fields {
  return isPlainObject(value) ? value : {};
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** A text without signs that would change what a terminal shows. */
export function textOf(value: unknown, maxLength = 300): string | undefined {
  if (typeof value !== 'string') return undefined;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken out
  return value.slice(0, maxLength).replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '');
}

/** A number of things, or of milliseconds or bytes. */
export function countOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : undefined;
}

/** A moment that `Date` can hold. */
export function timeOf(value: unknown): Date | undefined {
  return typeof value === 'number' && Math.abs(value) <= 8.64e15 ? new Date(value) : undefined;
}

/** From 0 to 1. */
export function ratioOf(value: unknown): number | undefined {
  const count = countOf(value);
  return count === undefined ? undefined : Math.min(1, count);
}

const WORKER_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Whether a text is an id as workers make them. */
export function isWorkerId(text: string): boolean {
  return text.length === 36 && WORKER_ID.test(text);
}

const QUESTIONS = ['ping', 'active', 'stats', 'registered', 'conf'] as const;
const ORDERS = ['set-concurrency', 'add-queue', 'cancel-queue', 'shutdown'] as const;

export type OrderKind = (typeof QUESTIONS)[number] | (typeof ORDERS)[number];

export interface Order {
  readonly id: string;
  readonly kind: OrderKind;
  /** The ids of the workers it is for; undefined: all. */
  readonly to: ReadonlySet<string> | undefined;
  readonly args: Fields;
  /** After this moment, by the clock of the store, nobody waits for the answer any more. */
  readonly until: number;
}

/** The longest wait for answers. */
export const MAX_WAIT_MS = 600_000;
const MAX_ARGS_BYTES = 65_536;
const MAX_TO_BYTES = 1_048_576;

export function storedOrder(order: Order): StoredOrder {
  const { id, kind, to, args, until } = order;
  return {
    id,
    kind,
    ...(to !== undefined && { to: JSON.stringify([...to]) }),
    args: JSON.stringify(args),
    until: Math.round(until),
  };
}

/** An order as it was written; or why it cannot be obeyed. */
export function readOrder(fields: EventFields): Order | string {
  const id = fields.get('id') ?? '';
  if (!isWorkerId(id)) return 'it has no id';
  const kind = [...QUESTIONS, ...ORDERS].find((known) => known === fields.get('kind'));
  if (kind === undefined) return 'this version does not know its kind';
  const until = Number(fields.get('until'));
  if (!Number.isFinite(until)) return 'it has no end';
  const args = parsed(fields.get('args'), MAX_ARGS_BYTES);
  if (recordFields(args) !== args) return 'its arguments cannot be read';
  const recipients = parsed(fields.get('to'), MAX_TO_BYTES);
  if (fields.has('to') && !Array.isArray(recipients)) return 'whom it is for cannot be read';
  return {
    id,
    kind,
    to: Array.isArray(recipients) ? new Set(recipients.map(String)) : undefined,
    args: recordFields(args),
    until,
  };
}

/** A subscription is kept so long after the last question, for the next one. */
const KEPT_MS = 5000;

/** Answers to what this app has asked. One subscription, however much is asked at a time; none while nothing is. */
export class Replies {
  readonly #store: Store;
  readonly #options: BackendOptions;
  readonly #takers = new Map<string, (reply: StoredReply) => void>();
  #reader: Promise<EventReader> | undefined;
  #idle: NodeJS.Timeout | undefined;

  constructor(store: Store, options: BackendOptions) {
    this.#store = store;
    this.#options = options;
  }

  /** Hands on every answer to what is asked under this id once this has settled; gives a function that stops it. */
  async expect(id: string, take: (reply: StoredReply) => void): Promise<() => void> {
    clearTimeout(this.#idle);
    this.#takers.set(id, take);
    const stop = () => {
      this.#takers.delete(id);
      if (this.#takers.size > 0) return;
      clearTimeout(this.#idle);
      this.#idle = setTimeout(() => void this.close(), KEPT_MS);
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
    return replyReader(this.#options, from, (reply) => this.#takers.get(reply.to)?.(reply));
  }
}
