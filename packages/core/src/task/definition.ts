import { DuplicateTaskError, InvalidOptionError, UnknownTaskError } from '../base/errors.js';
import { IS_WITHOUT_URL, OWN_FILE } from '../base/modules.js';
import { checkKnown, checkObject, type OptionNames } from '../base/option-checks.js';
import type { NormalizedOptions } from '../job/shared-options.js';
import { isJobState } from '../job/states.js';
import type { TaskContext } from './context.js';
import { type Deduplication, normalizeDeduplication } from './deduplication.js';
import { checkHooks, type Hooks } from './middleware.js';
import { checkName, isName } from './option-checks.js';
import { normalizeOptions, type TaskOptions } from './options.js';
import { normalizeRetry, type RetryDecisions, retryDecisions } from './retry.js';
import {
  droppedOptions,
  hasOptions,
  refuseUnbound,
  SENDER,
  type Sender,
  TaskSignature,
} from './signature.js';
import type { Schema } from './types/task.js';

/** What `app.task` and `defineTask` are given, with the types of a single task forgotten. */
export interface Definition extends TaskOptions<never> {
  name: string;
  input?: Schema;
  output?: Schema;
  progress?: Schema;
  states?: readonly string[];
  failures?: Readonly<Record<string, Schema>>;
  sensitive?: readonly string[];
  hooks?: Hooks;
  isolate?: string | URL;
}

/**
 * A definition, checked.
 * @throws {InvalidOptionError} if the name, a schema or an option has a value it cannot have.
 */
export function toEntry(definition: Definition): TaskEntry {
  checkObject('definition', definition, "{ name: 'mail.send', run: async () => {} }");
  for (const option of OF_QUEUES) refuseOfQueues(option, definition);
  checkKnown(definition, OPTIONS);
  const { name, input, output, progress, failures, states, sensitive, hooks } = definition;
  checkHooks(hooks);
  checkSchemas({ input, output, progress });
  checkSchemas(failures ?? {}, 'failures.');
  for (const state of states ?? []) {
    checkName('states', state);
    if (isJobState(state)) throw new InvalidOptionError('states', 'names that no state of a job has', state);
  }
  const { queue, priority, timeout, expires, retry } = definition;
  const deduplication = normalizeDeduplication(definition);
  const options = normalizeOptions(
    {
      ...(queue !== undefined && { queue }),
      ...(priority !== undefined && { priority }),
      ...(timeout !== undefined && { timeout }),
      ...(expires !== undefined && { expires }),
    },
    0, // a task has no options that depend on the time
  );
  return {
    name: checkName('name', name),
    options: retry === undefined ? options : { ...options, retry: normalizeRetry(retry) },
    ...(retry !== undefined && { retryDecisions: retryDecisions(retry) }),
    ...(deduplication !== undefined && { deduplication }),
    ...(input !== undefined && { input }),
    ...(output !== undefined && { output }),
    ...(progress !== undefined && { progress }),
    ...(failures !== undefined && { failures }),
    ...(states !== undefined && { states }),
    ...(sensitive !== undefined && { sensitive }),
    ...(hooks !== undefined && { hooks }),
    ...isolationOf(definition),
  };
}

const OPTIONS: OptionNames<Definition & { run: unknown }> = {
  name: true,
  input: true,
  output: true,
  run: true,
  queue: true,
  priority: true,
  timeout: true,
  expires: true,
  retry: true,
  unique: true,
  throttle: true,
  debounce: true,
  progress: true,
  states: true,
  failures: true,
  sensitive: true,
  hooks: true,
  isolate: true,
};

/** What others have for a task, and Umbel for a queue as a whole. */
const OF_QUEUES = ['concurrency', 'rateLimit'] as const;

function refuseOfQueues(option: (typeof OF_QUEUES)[number], definition: object): void {
  const value = (definition as Partial<Record<typeof option, unknown>>)[option];
  if (value === undefined) return;
  const elsewhere = `createApp({ queues: { mails: { ${option}: … } } })`;
  throw new InvalidOptionError(option, `absent: it is an option of a queue, ${elsewhere}`, value);
}

/** Where the handler of a task is loaded from, if it runs in a process of its own. */
export function isolationOf(options: { readonly isolate?: string | URL | undefined }): { isolate?: string } {
  const { isolate } = options;
  if (isolate !== undefined) return { isolate: moduleOf(isolate) };
  // There `import.meta.url` was written, and is undefined. A worker refuses the task, where it would run it in its process.
  return IS_WITHOUT_URL && 'isolate' in options ? { isolate: OWN_FILE } : {};
}

/**
 * Where a module is, for `import`.
 * @throws {InvalidOptionError} unless it can be said from anywhere: a relative path would be one from Umbel's own files.
 */
function moduleOf(isolate: string | URL): string {
  const module = isolate instanceof URL ? isolate.href : isolate;
  if (typeof module === 'string' && module !== '' && !/^\.{0,2}[\\/]/.test(module)) return module;
  throw new InvalidOptionError(
    'isolate',
    "the module's own `import.meta.url`, or new URL('./tasks.js', import.meta.url)",
    isolate,
  );
}

function checkSchemas(schemas: Readonly<Record<string, Schema | undefined>>, prefix = ''): void {
  for (const [option, schema] of Object.entries(schemas)) {
    if (schema !== undefined && schema?.['~standard'] === undefined) {
      throw new InvalidOptionError(
        `${prefix}${option}`,
        'a Standard Schema (zod, valibot, arktype …)',
        schema,
      );
    }
  }
}

/** What an app knows of a task. `run` is absent where only the contract was imported. */
export interface TaskEntry {
  readonly name: string;
  readonly options: NormalizedOptions;
  readonly input?: Schema;
  readonly output?: Schema;
  /** Of the values that a handler reports. */
  readonly progress?: Schema;
  /** States of the job that a handler may show. */
  readonly states?: readonly string[];
  /** Failures that a handler may end with, by name, with the schema of what comes with each. */
  readonly failures?: Readonly<Record<string, Schema>>;
  readonly retryDecisions?: RetryDecisions;
  readonly deduplication?: Deduplication;
  readonly hooks?: Hooks;
  /** Names of keys whose values are masked. */
  readonly sensitive?: readonly string[];
  /** The module to load in a child process, which defines the task. */
  readonly isolate?: string;
  readonly run?: (input: unknown, context: TaskContext) => unknown;
}

export type HandledEntry = TaskEntry & Required<Pick<TaskEntry, 'run'>>;

/** Tasks by name. */
export class Registry {
  readonly #tasks = new Map<string, TaskEntry>();
  readonly #queues = new Set<string>();
  readonly #queueListeners = new Set<() => void>();

  /**
   * Adds a task; a handler is added to a contract of the same name.
   * @throws {DuplicateTaskError} if the name is taken.
   */
  add(entry: TaskEntry): void {
    const present = this.#tasks.get(entry.name);
    if (present !== undefined && !completes(present, entry)) throw new DuplicateTaskError(entry.name);
    this.#tasks.set(entry.name, entry);
    const { queue } = entry.options;
    if (queue === undefined || this.#queues.has(queue)) return;
    this.#queues.add(queue);
    for (const listener of this.#queueListeners) listener();
  }

  /** Calls `listener` when a task names a queue that none has named before. Returns a function that stops it. */
  onQueue(listener: () => void): () => void {
    this.#queueListeners.add(listener);
    return () => this.#queueListeners.delete(listener);
  }

  /**
   * Adds a contract, whose handler may be here already.
   * @throws {DuplicateTaskError} if another contract has its name.
   */
  declare(entry: TaskEntry): void {
    const present = this.#tasks.get(entry.name);
    if (present?.run === undefined) this.add(entry);
    else if (!isSame(present, entry)) throw new DuplicateTaskError(entry.name);
  }

  get size(): number {
    return this.#tasks.size;
  }

  get(name: string): TaskEntry | undefined {
    return this.#tasks.get(name);
  }

  /** The task with its handler. @throws {UnknownTaskError} if there is none. */
  handled(name: string): HandledEntry {
    const entry = this.#tasks.get(name);
    if (entry?.run === undefined)
      throw new UnknownTaskError(
        name,
        this.handledTasks().map((task) => task.name),
      );
    return entry as HandledEntry; // which was looked at
  }

  /** The queues that tasks name. */
  queues(): ReadonlySet<string> {
    return this.#queues;
  }

  /** Those with and without a handler here. */
  tasks(): TaskEntry[] {
    return [...this.#tasks.values()];
  }

  /** Tasks that this process can run. */
  handledTasks(): TaskEntry[] {
    return [...this.#tasks.values()].filter((entry) => entry.run !== undefined);
  }
}

/** True for the same contract again, and for a contract that now gets its handler. */
function completes(present: TaskEntry, entry: TaskEntry): boolean {
  return present.run === undefined && isSame(present, entry);
}

function isSame(one: TaskEntry, other: TaskEntry): boolean {
  return one.input === other.input && one.output === other.output;
}

/** A task at run time: the signature of its call with nothing bound, and the maker of others. */
export class TaskObject extends TaskSignature {
  readonly name: string;

  constructor(name: string, sender: Sender | undefined) {
    super({ kind: 'task', task: name }, sender);
    this.name = name;
  }

  s(bound?: object, ...more: unknown[]): TaskSignature {
    if (hasOptions(more)) throw droppedOptions('s', '.s({ … }).set({ … })', more);
    return this.#signature(bound === undefined ? {} : { input: boundKeys(bound) });
  }

  si(input?: unknown, ...more: unknown[]): TaskSignature {
    if (hasOptions(more)) throw droppedOptions('si', '.si(input).set({ … })', more);
    return this.#signature({ immutable: true, ...(input !== undefined && { input: input }) });
  }

  into(key: string, rest?: object, ...more: unknown[]): TaskSignature {
    if (hasOptions(more)) throw droppedOptions('into', '.into(key, { … }).set({ … })', more);
    if (key === '__proto__') throw new InvalidOptionError('into', 'another key than "__proto__"', key);
    return this.#signature({ into: key, ...(rest !== undefined && { input: boundKeys(rest) }) });
  }

  #signature(parts: { input?: unknown; into?: string; immutable?: true }): TaskSignature {
    return new TaskSignature({ kind: 'task', task: this.name, ...parts }, this[SENDER]);
  }
}

/** A key that is undefined is not bound: the previous result, or the call, may bring it. */
function boundKeys(part: object): object {
  return Object.fromEntries(Object.entries(part).filter(([, value]) => value !== undefined));
}

refuseUnbound(TaskObject, 'task');

/** What the language, or a tool that looks at an object, asks of every object: these are not the names of tasks. */
const NOT_TASKS: ReadonlySet<string> = new Set(['then', 'toJSON']);

/** An object that has a task under every name that a task can have. */
export function clientOf(taskOf: (name: string) => TaskObject): object {
  const tasks = new Map<string, TaskObject>();
  return new Proxy(Object.freeze(Object.create(null)), {
    get(_target, name) {
      if (typeof name !== 'string' || NOT_TASKS.has(name) || !isName(name)) return undefined;
      const task = tasks.get(name) ?? taskOf(name);
      tasks.set(name, task);
      return task;
    },
  });
}
