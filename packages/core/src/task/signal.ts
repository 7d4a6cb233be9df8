/** Signals: their declaration, their public types, and the registry of those that an app declares. */
import { InvalidOptionError } from '../base/errors.js';
import { checkOptions, type OptionNames, positiveMs } from '../base/option-checks.js';
import type { Duration } from '../base/time.js';
import { checkSchema } from '../codec/schema-check.js';
import { isSignalKey, MAX_SIGNAL_KEY } from '../job/signal-wait.js';
import { checkName } from './option-checks.js';
import { refuseUnbound, SENDER, type Sender } from './signature.js';
import type { WireSafe } from './types/json.js';
import type { InputArgs } from './types/step.js';
import type { Decoded, Encoded, Schema, TaskResult } from './types/task.js';

/**
 * The answer to a signal: `accepted` if it decided the wait, or is kept for a wait that starts later; `duplicate` if an
 * earlier signal was accepted; `tooLate` if the wait ended without a signal (timeout, revocation, expiry).
 */
export type SignalAnswer = 'accepted' | 'duplicate' | 'tooLate';

/**
 * A declared signal. A workflow waits for it with `waitFor`, and any process of the app sends it.
 * @example
 * const approved = app.signal({
 *   name: 'expense.approved',
 *   payload: z.object({ by: z.string(), ok: z.boolean() }),
 * });
 * const answer = await approved.send('exp-17', { by: 'ann', ok: true });
 */
export interface Signal<Name extends string, Sent, Received = Sent> {
  readonly name: Name;
  /** Only a type: the payload as it is sent, and as a workflow receives it. */
  readonly '~payload': { readonly sent: Sent; readonly received: Received };
  /**
   * Sends the signal to the wait with this key. One signal decides a wait, and the first one wins. Without a wait it is
   * kept for the signal's `keep` (default 1 day), and the first wait that starts takes it.
   * @param key The key of the wait: 1 to 500 characters.
   * @throws {ValidationError} if the payload does not match the schema. Nothing is stored.
   * @throws {InvalidOptionError} if the key is not text of that length.
   * @throws {ConnectionError} if the store cannot be reached for longer than `sendTimeout`.
   * @example
   * if ((await approved.send('exp-17', { by: 'ann', ok: true })) === 'tooLate') console.log('it was decided before');
   */
  send(key: string, ...payload: InputArgs<Sent>): Promise<SignalAnswer>;
}

/** A signal of any payload. */
export type AnySignal = { readonly name: string; readonly '~payload': { readonly received: unknown } };

/** The payload of a signal as a workflow receives it. */
export type PayloadOf<S extends AnySignal> = S['~payload']['received'];

/** A payload schema whose values JSON can carry, before and after decoding. */
export type PayloadSchema<S extends Schema> = WireSafe<
  Encoded<S>,
  WireSafe<Decoded<S>, S, 'payload'>,
  'payload'
>;

/** The payload that a workflow receives: decoded, and `null` for a signal without a payload. */
export type ReceivedPayload<S extends Schema> = [Decoded<S>] extends [void] ? null : TaskResult<S, never>;

/** The parameter of `app.signal`. */
export interface SignalDefinition<Name extends string, S extends Schema> {
  /** Unique in the app: at most 100 letters, digits, `_`, `.` and `-`. */
  name: Name;
  /** Any Standard Schema, checked when a signal is sent and again when a workflow takes it. Absent: no payload. */
  payload?: PayloadSchema<S>;
  /** How long a signal is kept for a wait that has not started. Default 1 day. */
  keep?: Duration | undefined;
}

/** A checked declaration. */
export interface SignalEntry {
  readonly name: string;
  readonly payload?: Schema;
  readonly keepMs: number;
}

/** How long a signal is kept for a wait that starts later, unless its declaration says so. */
export const DEFAULT_KEEP_MS = 86_400_000;

const OPTIONS: OptionNames<SignalDefinition<string, Schema>> = { name: true, payload: true, keep: true };

/** Checks a declaration. @throws {InvalidOptionError} if the name, the schema or an option is invalid. */
export function toSignalEntry(definition: SignalDefinition<string, Schema>): SignalEntry {
  const { name, payload, keep } = checkOptions(definition, OPTIONS, {
    option: 'definition',
    example: "{ name: 'expense.approved', payload }",
  });
  return {
    name: checkName('name', name),
    ...(payload !== undefined && { payload: checkSchema('payload', payload) }),
    keepMs: keep === undefined ? DEFAULT_KEEP_MS : positiveMs(keep, 'keep'),
  };
}

/** Returns `key`. @throws {InvalidOptionError} unless a signal can have this key. */
export function checkSignalKey(option: string, key: string): string {
  if (isSignalKey(key)) return key;
  throw new InvalidOptionError(option, `text of 1 to ${MAX_SIGNAL_KEY} characters`, key);
}

/** The signals of an app, by name. */
export class SignalRegistry {
  readonly #entries = new Map<string, SignalEntry>();

  /** @throws {InvalidOptionError} if the app has another signal of that name. */
  add(entry: SignalEntry): void {
    if (this.#entries.has(entry.name)) {
      const expected = 'the name of one signal: declare it once, at the top level of a module';
      throw new InvalidOptionError('name', expected, entry.name);
    }
    this.#entries.set(entry.name, entry);
  }

  get(name: string): SignalEntry | undefined {
    return this.#entries.get(name);
  }

  get names(): readonly string[] {
    return [...this.#entries.keys()];
  }
}

/** Sends a signal of an app by its name. */
export type SendSignal = (name: string, key: string, payload: unknown) => Promise<SignalAnswer>;

/** The runtime object of a signal. */
export class SignalObject {
  readonly name: string;
  readonly [SENDER]: Sender;
  readonly #send: SendSignal;

  constructor(name: string, sender: Sender, send: SendSignal) {
    this.name = name;
    this[SENDER] = sender;
    this.#send = send;
  }

  send(key: string, payload?: unknown): Promise<SignalAnswer> {
    return this.#send(this.name, key, payload);
  }
}

refuseUnbound(SignalObject, 'signal');
