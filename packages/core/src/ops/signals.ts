/** `app.signals`: lists the open waits for signals, and sends signals by name. */
import { InvalidOptionError } from '../base/errors.js';
import { checkInteger, checkOptions, type OptionNames } from '../base/option-checks.js';
import { isPlainObject } from '../base/text.js';
import type { SignalClient } from '../client/signals.js';
import { type JsonSchema, jsonSchemaOf } from '../codec/json-schema.js';
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import type { OpenWaitRecord } from '../store/primitives/signals.js';
import { readJob } from '../store/read.js';
import { findWait, listWaits, signalSchemaOf } from '../store/signals.js';
import type { Store } from '../store/store.js';
import { checkName, checkTags } from '../task/option-checks.js';
import { checkSignalKey, type SignalAnswer } from '../task/signal.js';
import type { Page } from './job-query.js';

/** A wait that no signal has decided yet. */
export interface OpenWait {
  /** The name of the signal. */
  readonly name: string;
  /** The key that a sender of the signal names. */
  readonly key: string;
  /** The workflow run that waits. */
  readonly runId: string;
  /** The id of the job that waits, as in `run.graph()`. */
  readonly id: string;
  readonly since: Date;
  /** The timeout. Absent: the wait has no end. */
  readonly until?: Date;
  readonly tags: readonly string[];
  /** The payload before decoding. Null without a payload, or if its library provides no JSON Schema. */
  readonly schema: JsonSchema | null;
}

/** Selects open waits. */
export interface OpenWaitQuery {
  /** Only waits for the signal of this name. */
  name?: string | undefined;
  /** Only the waits with this key. */
  key?: string | undefined;
  /** Only waits of runs and parts of runs with this tag. */
  tag?: string | undefined;
  /** Where a page begins: the `cursor` of the page before. */
  cursor?: string | undefined;
  /** Maximum number of waits of a page. Default 50, at most 1,000. With `key` or `tag`, a page may have fewer. */
  limit?: number | undefined;
}

/** Open waits and signals of an app, for operators and for programs that do not declare the signals. */
export interface Signals {
  /**
   * Returns a page of the waits that are open, ordered by signal and start.
   * @throws {InvalidOptionError} if an option is invalid.
   * @example
   * const { items } = await app.signals.waiting({ name: 'expense.approved' });
   * for (const { key, runId, since } of items) console.log(key, runId, since);
   */
  waiting(query?: OpenWaitQuery): Promise<Page<OpenWait>>;
  /**
   * Sends a signal by its name. A payload of a signal that this process does not declare is checked only where it is taken.
   * @throws as `Signal.send`.
   * @example
   * await app.signals.send('expense.approved', 'exp-17', { by: 'ann', ok: true });
   */
  send(name: string, key: string, payload?: unknown): Promise<SignalAnswer>;
}

export interface SignalsDependencies {
  readonly store: Store;
  readonly client: SignalClient;
}

const QUERY: OptionNames<OpenWaitQuery> = { name: true, key: true, tag: true, cursor: true, limit: true };
const MAX_LIMIT = 1000;
const DEFAULT_LIMIT = 50;

/** @param dependencies Returns those of the app, or of its test override, at the time of a call. */
export function signalsOf(dependencies: () => SignalsDependencies): Signals {
  return {
    waiting: (query = {}) => waiting(dependencies(), query),
    send: (name, key, payload) => dependencies().client.send(name, key, payload),
  };
}

async function waiting(dependencies: SignalsDependencies, query: OpenWaitQuery): Promise<Page<OpenWait>> {
  const { name, key, tag, cursor, limit = DEFAULT_LIMIT } = checkOptions(query, QUERY, { option: 'query' });
  if (name !== undefined) checkName('name', name);
  if (key !== undefined) checkSignalKey('key', key);
  if (tag !== undefined) checkTags([tag]);
  if (cursor !== undefined && (typeof cursor !== 'string' || cursor === ''))
    throw new InvalidOptionError('cursor', 'the cursor of a page', cursor);
  checkInteger('limit', limit, 1, MAX_LIMIT);
  const { store } = dependencies;
  if (name !== undefined && key !== undefined) {
    const found = await findWait(store, name, key);
    return { items: found === undefined ? [] : await openWaits(dependencies, [found], tag) };
  }
  const { waits, next } = await listWaits(store, name, cursor, limit);
  const matching = key === undefined ? waits : waits.filter((wait) => wait.key === key);
  const items = await openWaits(dependencies, matching, tag);
  return { items, ...(next !== undefined && { cursor: next }) };
}

/** Returns the public facts of waits whose jobs are in the store and have not ended. */
async function openWaits(
  { store, client }: SignalsDependencies,
  waits: readonly OpenWaitRecord[],
  tag: string | undefined,
): Promise<OpenWait[]> {
  const schemas = new Map<string, JsonSchema | null>();
  const open: OpenWait[] = [];
  const undecided = waits.filter(({ isSignalled }) => !isSignalled);
  const jobs = await Promise.all(
    undecided.map(({ job }) => readJob(store, { queue: INTERNAL_QUEUE, id: job })),
  );
  for (const [index, { signal, key, job: id, since, until }] of undecided.entries()) {
    const job = jobs[index];
    if (job === undefined || job.finishedAt !== undefined) continue;
    const { tags = [], run = id } = job.envelope ?? {};
    if (tag !== undefined && !tags.includes(tag)) continue;
    if (!schemas.has(signal)) schemas.set(signal, await schemaOf(store, client, signal));
    open.push({
      ...{ name: signal, key, runId: run, id, since: new Date(since), tags },
      ...(until !== undefined && { until: new Date(until) }),
      schema: schemas.get(signal) ?? null,
    });
  }
  return open;
}

async function schemaOf(store: Store, client: SignalClient, signal: string): Promise<JsonSchema | null> {
  const entry = client.entryOf(signal);
  if (entry !== undefined) return jsonSchemaOf(entry.payload, 'input');
  const stored = await signalSchemaOf(store, signal);
  try {
    const schema: unknown = stored === undefined ? null : JSON.parse(stored);
    return isPlainObject(schema) ? schema : null;
  } catch {
    return null; // another program wrote it
  }
}
