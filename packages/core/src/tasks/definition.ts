import { InvalidOptionError } from '../errors.js';
import type { ContractDefinition, Schema } from '../types/task.js';
import { checkName, normalizeOptions } from './options.js';
import type { TaskEntry } from './registry.js';

/** The queue of tasks that name none. */
export const DEFAULT_QUEUE = 'default';

/** What `app.task` and `defineTask` are given, with the types of a single task forgotten. */
export interface Definition extends Omit<ContractDefinition<string, Schema, Schema>, 'input' | 'output'> {
  input?: Schema;
  output?: Schema;
}

/**
 * A definition, checked.
 * @throws {InvalidOptionError} if the name, a schema or an option has a value it cannot have.
 */
export function toEntry({ name, input, output, queue, priority, retry }: Definition): TaskEntry {
  for (const [option, schema] of Object.entries({ input, output })) {
    if (schema !== undefined && schema?.['~standard'] === undefined) {
      throw new InvalidOptionError(option, 'a Standard Schema (zod, valibot, arktype …)', schema);
    }
  }
  return {
    name: checkName('name', name),
    options: normalizeOptions(
      {
        ...(queue !== undefined && { queue }),
        ...(priority !== undefined && { priority }),
        ...(retry !== undefined && { retry }),
      },
      0, // a task has no options that depend on the time
    ),
    ...(input !== undefined && { input }),
    ...(output !== undefined && { output }),
  };
}
