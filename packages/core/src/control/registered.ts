/** The tasks that a worker can run, as it tells of them. */
import type { StandardJSONSchemaV1 } from '@standard-schema/spec';
import type { TaskEntry } from '../tasks/registry.js';
import type { Schema } from '../types/task.js';
import { isPlainObject } from '../wire/plain-object.js';

/** A JSON Schema of the draft 2020-12. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** A task that a worker has a handler for. */
export interface RegisteredTask {
  readonly name: string;
  /** Where its calls go, as far as no input decides. */
  readonly queue: string;
  /** Of its input, as it is sent, and of its result; null if it has no schema, or one that gives no JSON Schema. */
  readonly input: JsonSchema | null;
  readonly output: JsonSchema | null;
  readonly attempts: number;
  readonly timeoutMs: number | null;
  readonly expiresMs: number | null;
  readonly priority: number;
  /** Whether it runs in a child process. */
  readonly isIsolated: boolean;
  readonly states: readonly string[];
  /** Names of the failures that it may end with. */
  readonly failures: readonly string[];
}

export function registeredTasks(
  tasks: readonly TaskEntry[],
  queueOf: (task: string, own: string | undefined) => string,
): RegisteredTask[] {
  return tasks.map(({ name, options, input, output, isolate, states = [], failures = {} }) => ({
    name,
    queue: queueOf(name, options.queue),
    input: jsonSchemaOf(input, 'input'),
    output: jsonSchemaOf(output, 'output'),
    attempts: options.retry?.attempts ?? 1,
    timeoutMs: options.timeoutMs ?? null,
    expiresMs: options.expiresMs ?? null,
    priority: options.priority ?? 0,
    isIsolated: isolate !== undefined,
    states,
    failures: Object.keys(failures),
  }));
}

/** @see https://standardschema.dev/json-schema */
function jsonSchemaOf(schema: Schema | undefined, side: 'input' | 'output'): JsonSchema | null {
  const standard = schema?.['~standard'] as Partial<StandardJSONSchemaV1.Props> | undefined;
  try {
    const found = standard?.jsonSchema?.[side]({ target: 'draft-2020-12' });
    return isPlainObject(found) ? withoutValues(found) : null;
  } catch {
    return null; // it says so of what JSON Schema cannot express
  }
}

/** Keywords whose values are values of the user's: what a field is by default may be nobody's business. */
const VALUES: ReadonlySet<string> = new Set(['default', 'examples', 'example']);
/** Keywords whose keys are names, and no keywords. */
const NAMED: ReadonlySet<string> = new Set([
  'properties',
  'patternProperties',
  '$defs',
  'definitions',
  'dependentSchemas',
]);
/** Keywords whose values are no schemas. */
const PLAIN: ReadonlySet<string> = new Set(['enum', 'const', 'required', 'type']);

function withoutValues(schema: Record<string, unknown>): Record<string, unknown> {
  const kept = Object.entries(schema).filter(([keyword]) => !VALUES.has(keyword));
  return Object.fromEntries(
    kept.map(([keyword, value]) => {
      if (PLAIN.has(keyword)) return [keyword, value];
      if (!NAMED.has(keyword) || !isPlainObject(value)) return [keyword, below(value)];
      return [keyword, Object.fromEntries(Object.entries(value).map(([name, item]) => [name, below(item)]))];
    }),
  );
}

function below(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(below);
  return isPlainObject(value) ? withoutValues(value) : value;
}
