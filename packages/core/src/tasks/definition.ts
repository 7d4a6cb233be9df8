import { InvalidOptionError } from '../errors.js';
import { IS_WITHOUT_URL, OWN_FILE } from '../own-file.js';
import { isJobState } from '../results/state.js';
import type { Schema } from '../types/task.js';
import { normalizeDeduplication } from './deduplication.js';
import { checkHooks, type Hooks } from './hooks.js';
import { checkKnown, checkObject, type OptionNames } from './known-options.js';
import { checkName, normalizeOptions, type TaskOptions } from './options.js';
import type { TaskEntry } from './registry.js';
import { normalizeRetry, retryDecisions } from './retry.js';

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
