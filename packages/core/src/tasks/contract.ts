import type { FailureSchemas, ReportsOf } from '../types/extras.js';
import type {
  Contract,
  ContractDefinition,
  ContractExtras,
  Encoded,
  Schema,
  TaskResult,
  VoidSchema,
} from '../types/task.js';
import { type Definition, toEntry } from './definition.js';
import type { TaskEntry } from './registry.js';
import type { Sender } from './signature.js';
import { TaskObject } from './task.js';

/** The property under which a contract holds what it declares. */
export const CONTRACT: unique symbol = Symbol.for('umbel.contract');

/** A task without its handler at run time. */
export class ContractObject extends TaskObject {
  readonly [CONTRACT]: TaskEntry;

  constructor(entry: TaskEntry, sender: Sender | undefined) {
    super(entry.name, sender);
    this[CONTRACT] = entry;
  }
}

/**
 * A contract: a task's name, schemas and options without its handler, for a package that both the sending and the
 * running side import. It belongs to no app until `app.bind` or `app.implement` gives it one.
 * @throws {InvalidOptionError} if the name, a schema or an option has a value it cannot have.
 */
export function defineTask<
  const Name extends string,
  In extends Schema = VoidSchema,
  Out extends Schema = VoidSchema,
  Progress extends Schema = never,
  const States extends string = never,
  Failures extends FailureSchemas = {},
>(
  definition: ContractDefinition<Name, In, Out, Progress, States, Failures>,
): Contract<
  Name,
  Encoded<In>,
  TaskResult<Out, never>,
  ContractExtras<In, Out> & ReportsOf<Progress, States, Failures>
> {
  const contract: unknown = new ContractObject(toEntry(definition as Definition), undefined);
  return contract as ReturnType<typeof defineTask<Name, In, Out, Progress, States, Failures>>; // as it was defined
}
