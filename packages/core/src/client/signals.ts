/** Sends signals, and decodes their payloads where a wait takes them. Both check the payload. */
import { UnknownSignalError, ValidationError } from '../base/errors.js';
import type { Sealer } from '../codec/codecs.js';
import { jsonIssues } from '../codec/json.js';
import { jsonSchemaOf } from '../codec/json-schema.js';
import { sanitize } from '../codec/masking.js';
import { validateInput } from '../codec/schema.js';
import { randomId } from '../job/ids.js';
import { signalRecordId } from '../job/signal-wait.js';
import { sendSignal, storeSignalSchema } from '../store/signals.js';
import type { Store } from '../store/store.js';
import { checkName } from '../task/option-checks.js';
import {
  checkSignalKey,
  DEFAULT_KEEP_MS,
  type SignalAnswer,
  type SignalEntry,
  type SignalRegistry,
} from '../task/signal.js';
import type { Runtime } from './runtime.js';

export interface SignalClientOptions {
  readonly store: Store;
  readonly sealer: Sealer;
  readonly runtime: Runtime;
  readonly signals: SignalRegistry;
  readonly maxBytes: number;
  /** Names of keys whose values are masked in messages. */
  readonly sensitive: readonly string[];
}

export class SignalClient {
  readonly #options: SignalClientOptions;
  readonly #sensitive: ReadonlySet<string>;
  /** Signals whose JSON Schema this process has stored. */
  readonly #noted = new Set<string>();

  constructor(options: SignalClientOptions) {
    this.#options = options;
    this.#sensitive = new Set(options.sensitive);
  }

  /** Names of the declared signals. */
  get known(): readonly string[] {
    return this.#options.signals.names;
  }

  entryOf(name: string): SignalEntry | undefined {
    return this.#options.signals.get(name);
  }

  /**
   * Sends a signal. The payload of a signal that this process does not declare is checked only where it is taken.
   * @throws {ValidationError} if the payload does not match its schema, or JSON would change it.
   */
  async send(name: string, key: string, payload: unknown): Promise<SignalAnswer> {
    const { store, sealer, runtime, maxBytes } = this.#options;
    checkName('name', name);
    checkSignalKey('key', key);
    const issues = jsonIssues(payload, 'payload', maxBytes);
    if (issues.length > 0) throw new ValidationError(name, 'payload', issues);
    const entry = this.entryOf(name);
    if (entry !== undefined) await this.#decoded(entry, payload);
    const id = signalRecordId(name, key);
    const sealed = await sealer.encode(payload, { subject: 'signal', id, task: name });
    await store.timeKnown();
    await this.noteSchema(name);
    const { answer } = await sendSignal(
      store,
      {
        ...{ id, signal: name, key, token: randomId(), payload: JSON.stringify(sealed) ?? '' },
        now: runtime.clock.now(),
        keepMs: entry?.keepMs ?? DEFAULT_KEEP_MS,
      },
      runtime.pause,
    );
    return answer;
  }

  /**
   * Returns the decoded payload of a stored signal.
   * @throws {UnknownSignalError} if this process does not declare the signal.
   * @throws {ValidationError} if the payload does not match the schema of this process.
   */
  async payloadOf(name: string, key: string, stored: string): Promise<unknown> {
    const { sealer } = this.#options;
    const entry = this.entryOf(name);
    if (entry === undefined) throw new UnknownSignalError(name, this.known);
    const id = signalRecordId(name, key);
    const payload = await sealer.decode(parsed(stored), { subject: 'signal', id, task: name });
    const fault = sanitize(payload);
    if (fault !== undefined)
      throw new ValidationError(name, 'payload', [{ path: 'payload', message: fault }]);
    return (await this.#decoded(entry, payload)) ?? null;
  }

  /** Stores the JSON Schema of a declared signal, once in the life of a process. */
  async noteSchema(name: string): Promise<void> {
    if (this.#noted.has(name)) return;
    const schema = jsonSchemaOf(this.entryOf(name)?.payload, 'input');
    if (schema !== null) await storeSignalSchema(this.#options.store, name, JSON.stringify(schema));
    this.#noted.add(name);
  }

  async #decoded({ name, payload: schema }: SignalEntry, payload: unknown): Promise<unknown> {
    if (schema === undefined) {
      if (payload === undefined || payload === null) return null;
      const message = 'this signal has no payload: it was declared without a schema for one (`payload`)';
      throw new ValidationError(name, 'payload', [{ path: 'payload', message }]);
    }
    const decoded = await validateInput(schema, payload, name, this.#sensitive, 'payload', 'payload');
    const issues = jsonIssues(decoded, 'payload', this.#options.maxBytes);
    if (issues.length > 0) throw new ValidationError(name, 'payload', issues);
    return decoded;
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // no payload, or one that its schema rejects
  }
}
