/**
 * This module sends calls and workflows in a transaction of the user: `App.in` returns its object. The commands of a call
 * run on the user's connection; its handle reads on the connections of the app, so it refuses to wait before the commit.
 */
import { InvalidOptionError, JobStateError, StoreConfigurationError } from '../base/errors.js';
import type { AsyncResult } from '../client/async-result.js';
import { JOB_SENDER, JobSender } from '../client/sender.js';
import type { ResultDependencies } from '../client/wait.js';
import type { OpenTransaction, TransactionScope } from '../store/engine/transaction.js';
import { Store } from '../store/store.js';
import { TagIndex } from '../store/tags.js';
import type { BulkOptions, SendOptions } from '../task/options.js';
import { isSigned, refuseUnbound, SENDER, type Sender } from '../task/signature.js';
import type { InputOf, OutputOf } from '../task/types/step.js';
import type { AnySignature } from '../task/types/task.js';
import type { AppDependencies } from './wiring.js';

/** The parameters of `TransactionSender.send` after the task or workflow, for its input and result. */
export type CallArgs<In, Out> = [In] extends [never]
  ? [nothingFits: never]
  : unknown extends In
    ? [input?: In, options?: SendOptions<Out>]
    : [In] extends [void]
      ? [input?: undefined, options?: SendOptions<Out>]
      : undefined extends In
        ? [input?: In, options?: SendOptions<Out>]
        : {} extends In
          ? [input?: In, options?: SendOptions<Out>]
          : [input: In, options?: SendOptions<Out>];

/** Sends in an open transaction of the user, see `App.in`. */
export interface TransactionSender {
  /**
   * Sends a task, a signature or a whole workflow. It exists if and only if the transaction commits; workers start it then.
   * `get()` of the handle is refused before. An error of a statement has aborted the transaction: roll it back.
   * @throws {InvalidOptionError} if the transaction is not open, or `called` belongs to another app.
   * @throws the errors of `applyAsync`, and those of the user's connection as they are.
   * @example
   * await client.query('BEGIN');
   * await client.query('INSERT INTO orders (id) VALUES ($1)', [order.id]);
   * const result = await app.in(client).send(charge, { id: order.id });
   * await client.query('COMMIT');
   */
  send<Called extends AnySignature>(
    called: Called,
    ...call: CallArgs<InputOf<Called>, OutputOf<Called>>
  ): Promise<AsyncResult<OutputOf<Called>, Called['~extras']>>;
  /** Sends a call by name, like `App.send`. */
  send(name: string, input?: unknown, options?: SendOptions): Promise<AsyncResult<unknown>>;
  /** Sends many calls of a task, 500 per statement, and returns their handles in the same order. */
  sendMany<Called extends AnySignature>(
    called: Called,
    inputs: Iterable<InputOf<Called>>,
    options?: BulkOptions,
  ): Promise<AsyncResult<OutputOf<Called>, Called['~extras']>[]>;
}

/** The methods of a task, a signature or a workflow that send it. */
interface Callable {
  applyAsync(input: unknown, options: SendOptions<never>): Promise<AsyncResult<unknown>>;
  sendMany(inputs: Iterable<unknown>, options: BulkOptions): Promise<AsyncResult<unknown>[]>;
}

export class TransactionSenderObject {
  readonly #app: Sender;
  readonly #named: (name: string) => object;
  readonly #dependencies: AppDependencies;
  readonly #open: () => TransactionScope;

  /** @throws {StoreConfigurationError} if the store of the app is in no database of the user. */
  constructor(
    app: Sender & { signature(name: string): object },
    dependencies: AppDependencies,
    transaction: OpenTransaction,
  ) {
    const { connection } = dependencies.storeOptions;
    const { inTransaction } = connection;
    if (inTransaction === undefined) throw new StoreConfigurationError(unsupported(connection.address));
    this.#app = app;
    this.#named = (name) => app.signature(name);
    this.#dependencies = dependencies;
    inTransaction(transaction); // refuses another object at once
    this.#open = () => inTransaction(transaction);
  }

  send(called: unknown, input?: unknown, options: SendOptions<never> = {}): Promise<AsyncResult<unknown>> {
    return this.#within(called, (callable, sender) =>
      callable.applyAsync(input, { ...options, [JOB_SENDER]: sender } as SendOptions<never>),
    );
  }

  sendMany(
    called: unknown,
    inputs: Iterable<unknown>,
    options: BulkOptions = {},
  ): Promise<AsyncResult<unknown>[]> {
    return this.#within(called, (callable, sender) =>
      callable.sendMany(inputs, { ...options, [JOB_SENDER]: sender } as BulkOptions),
    );
  }

  async #within<T>(called: unknown, send: (callable: Callable, sender: JobSender) => Promise<T>): Promise<T> {
    const callable = typeof called === 'string' ? this.#named(called) : called;
    if (!isSigned(callable))
      throw new InvalidOptionError('called', 'a task, a signature, a workflow or the name of a task', called);
    const sender = callable[SENDER];
    if (sender !== undefined && sender !== this.#app)
      throw new InvalidOptionError('called', 'a task, a signature or a workflow of this app', called);
    const scope = this.#open();
    if (scope.holdsStore && !this.#dependencies.store.backends.isReady)
      throw new StoreConfigurationError(NOT_CONNECTED);
    try {
      await this.#dependencies.store.reach(async () => {}); // the app connects before, so its store has a schema
      await scope.begin();
      return await send(callable as unknown as Callable, this.#senderIn(scope));
    } finally {
      scope.end();
    }
  }

  #senderIn(scope: TransactionScope): JobSender {
    const { storeOptions, store, sending, keeping, tags } = this.#dependencies;
    const inside = new Store({ ...storeOptions, connection: scope.engine, outer: store.backends });
    return new JobSender({
      ...sending.dependencies,
      store: inside,
      tags: new TagIndex(inside, keeping, { checks: false, searchIndex: tags.hasTerms }),
      results: this.#resultsAfter(scope),
    });
  }

  /** Returns the dependencies of handles that wait only for a committed transaction. */
  #resultsAfter(scope: TransactionScope): ResultDependencies {
    const { results, store } = this.#dependencies;
    let isOver = false;
    return {
      ...results,
      async checkStored(id) {
        if (isOver) return;
        const state = await (scope.holdsStore ? scope.state() : store.reach(() => scope.state()));
        if (state === 'open') throw new JobStateError(notCommitted(id));
        if (state === 'rolled back') throw new JobStateError(rolledBack(id));
        isOver = true;
      },
    };
  }
}

const NOT_CONNECTED =
  'The app has not connected to its store yet, and cannot while a transaction of that database is open: expected an app that is ' +
  'connected. Start a worker or send a call before the transaction.';

function unsupported(address: string): string {
  return (
    `An app whose store is ${address} cannot send in a transaction of your database: expected a store in that ` +
    'database. Write the call to a table in the transaction and send it afterwards, see "Outbox" in docs/recipes.md.'
  );
}

function notCommitted(id: string): string {
  return (
    `Job ${id} was sent in a transaction that is not committed, so no worker can see it yet: expected a commit before ` +
    'its result is read. Read the result after the commit.'
  );
}

function rolledBack(id: string): string {
  return `Job ${id} was sent in a transaction that was rolled back, so it does not exist. Send it again.`;
}

refuseUnbound(TransactionSenderObject, 'app.in(transaction)');
