/** Task definitions: checks them, and holds them in the registry of an app. */
import { DuplicateTaskError, InvalidOptionError, UnknownTaskError } from '../base/errors.js';
import { IS_WITHOUT_URL, OWN_FILE } from '../base/modules.js';
import { checkKnown, checkObject, type OptionNames } from '../base/option-checks.js';
import { checkSchema } from '../codec/schema-check.js';
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

/** The parameter of `app.task` and `defineTask`, without the types of the particular task. */
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
 * Checks a definition and converts it to a registry entry.
 * @throws {InvalidOptionError} if the name, a schema or an option is invalid.
 */
export function toEntry(definition: Definition): TaskEntry {
  checkObject('definition', definition, "{ name: 'mail.send', run: async () => {} }");
  for (const option of QUEUE_OPTIONS) refuseQueueOption(option, definition);
  checkKnown(definition, OPTIONS);
  const { name, input, output, progress, failures, states, sensitive, hooks } = definition;
  checkHooks(hooks);
  checkSchemas({ input, output, progress });
  checkSchemas(failures ?? {}, 'failures.');
  for (const state of states ?? []) {
    checkName('states', state);
    if (isJobState(state))
      throw new InvalidOptionError('states', 'names other than the states of a job', state);
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
    0, // no option of a task depends on the current time
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

/** Options that other libraries have on a task and Umbel has on a queue. */
const QUEUE_OPTIONS = ['concurrency', 'rateLimit'] as const;

function refuseQueueOption(option: (typeof QUEUE_OPTIONS)[number], definition: object): void {
  const value = (definition as Partial<Record<typeof option, unknown>>)[option];
  if (value === undefined) return;
  const example = `createApp({ queues: { mails: { ${option}: … } } })`;
  throw new InvalidOptionError(option, `absent: it is an option of a queue, ${example}`, value);
}

/** Returns the module from which a child process loads the handler, if the task is isolated. */
export function isolationOf(options: { readonly isolate?: string | URL | undefined }): { isolate?: string } {
  const { isolate } = options;
  if (isolate !== undefined) return { isolate: moduleOf(isolate) };
  // A CommonJS bundle made `import.meta.url` undefined. With a module here, a worker refuses the task; without, it would
  // run the handler in its own process.
  return IS_WITHOUT_URL && 'isolate' in options ? { isolate: OWN_FILE } : {};
}

/**
 * Returns the specifier of a module for `import`.
 * @throws {InvalidOptionError} if it is a path: Node would resolve it relative to Umbel's own files.
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
    if (schema !== undefined) checkSchema(`${prefix}${option}`, schema);
  }
}

/** A task in the registry of an app. `run` is absent if only the contract was imported. */
export interface TaskEntry {
  readonly name: string;
  readonly options: NormalizedOptions;
  readonly input?: Schema;
  readonly output?: Schema;
  /** Schema of the values that the handler reports with `ctx.progress`. */
  readonly progress?: Schema;
  /** States that the handler may show with `ctx.setState`. */
  readonly states?: readonly string[];
  /** Declared failures by name, each with the schema of its data. */
  readonly failures?: Readonly<Record<string, Schema>>;
  readonly retryDecisions?: RetryDecisions;
  readonly deduplication?: Deduplication;
  readonly hooks?: Hooks;
  /** Keys whose values are masked. */
  readonly sensitive?: readonly string[];
  /** The module that defines the task, to load in a child process. */
  readonly isolate?: string;
  readonly run?: (input: unknown, context: TaskContext) => unknown;
}

export type HandledEntry = TaskEntry & Required<Pick<TaskEntry, 'run'>>;

/** The tasks of an app by name. */
export class Registry {
  readonly #tasks = new Map<string, TaskEntry>();
  readonly #queues = new Set<string>();
  readonly #queueListeners = new Set<() => void>();

  /**
   * Adds a task, or adds the handler to a contract with the same name and schemas.
   * @throws {DuplicateTaskError} if the name is already used.
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
   * Adds a contract. Its handler may have been added before.
   * @throws {DuplicateTaskError} if a different task has the same name.
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

  /** Returns the task with its handler. @throws {UnknownTaskError} if this process has no handler for it. */
  handled(name: string): HandledEntry {
    const entry = this.#tasks.get(name);
    if (entry?.run === undefined)
      throw new UnknownTaskError(
        name,
        this.handledTasks().map((task) => task.name),
      );
    return entry as HandledEntry; // `run` was checked above
  }

  /** Returns the queues that tasks name in their options. */
  queues(): ReadonlySet<string> {
    return this.#queues;
  }

  /** Returns all tasks, with or without a handler in this process. */
  tasks(): TaskEntry[] {
    return [...this.#tasks.values()];
  }

  /** Returns the tasks that this process can run. */
  handledTasks(): TaskEntry[] {
    return [...this.#tasks.values()].filter((entry) => entry.run !== undefined);
  }
}

/** Returns true for a repeated contract, and for the task that adds the handler to a contract. */
function completes(present: TaskEntry, entry: TaskEntry): boolean {
  return present.run === undefined && isSame(present, entry);
}

function isSame(one: TaskEntry, other: TaskEntry): boolean {
  return one.input === other.input && one.output === other.output;
}

/** The runtime object of a task: a signature without bound input, which creates signatures with bound input. */
export class TaskObject extends TaskSignature {
  readonly name: string;

  constructor(name: string, sender: Sender | undefined) {
    super({ kind: 'task', task: name }, sender);
    this.name = name;
  }

  s(bound?: object, ...more: unknown[]): TaskSignature {
    if (hasOptions(more)) throw droppedOptions('s', '.s({ … }).set({ … })', more);
    return this.#signature(bound === undefined ? {} : { input: boundKeys('s', bound) });
  }

  si(input?: unknown, ...more: unknown[]): TaskSignature {
    if (hasOptions(more)) throw droppedOptions('si', '.si(input).set({ … })', more);
    return this.#signature({ immutable: true, ...(input !== undefined && { input: input }) });
  }

  into(key: string, rest?: object, ...more: unknown[]): TaskSignature {
    if (hasOptions(more)) throw droppedOptions('into', '.into(key, { … }).set({ … })', more);
    if (key === '__proto__') throw new InvalidOptionError('into', 'another key than "__proto__"', key);
    return this.#signature({ into: key, ...(rest !== undefined && { input: boundKeys('into', rest) }) });
  }

  #signature(parts: { input?: unknown; into?: string; immutable?: true }): TaskSignature {
    return new TaskSignature({ kind: 'task', task: this.name, ...parts }, this[SENDER]);
  }
}

/**
 * Removes undefined keys. They stay open, for the previous result or the call.
 * @throws {InvalidOptionError} for anything but an object: text and lists have keys too, which nobody means to bind.
 */
function boundKeys(method: string, part: object): object {
  if (typeof part !== 'object' || part === null || Array.isArray(part))
    throw new InvalidOptionError(
      method,
      'an object of the keys to bind (for a whole input, use .si(input))',
      part,
    );
  return Object.fromEntries(Object.entries(part).filter(([, value]) => value !== undefined));
}

refuseUnbound(TaskObject, 'task');

/** Properties that the language and inspection tools read from every object. They are not task names. */
const NOT_TASKS: ReadonlySet<string> = new Set(['then', 'toJSON']);

/** Returns an object that has a task under every valid task name. */
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
