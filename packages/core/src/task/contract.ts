/** Contracts: tasks without a handler, for packages that both senders and workers import. */
import { InvalidOptionError } from '../base/errors.js';
import { type Definition, type TaskEntry, TaskObject, toEntry } from './definition.js';
import type { Sender } from './signature.js';
import type {
  Contract,
  ContractDefinition,
  ContractExtras,
  Encoded,
  FailureSchemas,
  ReportsOf,
  Schema,
  TaskResult,
  VoidSchema,
} from './types/task.js';

/** The property of a contract that holds its checked definition. */
export const CONTRACT: unique symbol = Symbol.for('umbel.contract');

/** The runtime object of a contract. */
export class ContractObject extends TaskObject {
  readonly [CONTRACT]: TaskEntry;

  constructor(entry: TaskEntry, sender: Sender | undefined) {
    super(entry.name, sender);
    this[CONTRACT] = entry;
  }
}

type HandlerFunction = NonNullable<TaskEntry['run']>;

/**
 * Pairs contracts with their handlers by key.
 * @throws {InvalidOptionError} if a contract has no handler, or a handler has no contract.
 */
export function pairHandlers(
  contracts: Readonly<Record<string, ContractObject>>,
  handlers: Readonly<Record<string, HandlerFunction>>,
): [key: string, contract: ContractObject, run: HandlerFunction][] {
  for (const [key, handler] of Object.entries(handlers)) {
    if (!Object.hasOwn(contracts, key))
      throw new InvalidOptionError(`handlers.${key}`, 'the handler of one of the contracts', handler);
  }
  return Object.entries(contracts).map(([key, contract]) => {
    const run = Object.hasOwn(handlers, key) ? handlers[key] : undefined;
    if (typeof run !== 'function') throw new InvalidOptionError(`handlers.${key}`, 'a function', run);
    if (contract?.[CONTRACT] === undefined) {
      throw new InvalidOptionError(`contracts.${key}`, 'a contract made by defineTask', contract);
    }
    return [key, contract, run];
  });
}

/**
 * Creates a contract: a task's name, schemas and options without its handler, for a package that both senders and workers
 * import. It belongs to no app until it is passed to `app.bind` or `app.implement`.
 * @throws {InvalidOptionError} if the name, a schema or an option is invalid.
 * @example
 * const resize = defineTask({
 *   name: 'image.resize',
 *   input: z.object({ path: z.string(), width: z.number() }),
 *   output: z.object({ file: z.string() }),
 *   timeout: '30s',
 * });
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
  return contract as ReturnType<typeof defineTask<Name, In, Out, Progress, States, Failures>>; // types exist only here
}
