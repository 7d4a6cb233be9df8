/** Which queue a call goes to, and which queues there are. */

import { UnknownQueueError } from '../base/errors.js';
import { checkInteger, checkOptions, type OptionNames } from '../base/option-checks.js';
import { checkName, checkQueue, type Rate, type RateLimit, rateOf } from './option-checks.js';

/** The queue of tasks that nothing routes elsewhere. */
const DEFAULT_QUEUE = 'default';

/** What is set for a queue as a whole, over all its workers, when a worker starts to serve it. */
export interface QueueOptions {
  /** Jobs of the queue that run at the same time, in all workers together. Default: no limit but the workers' own. */
  concurrency?: number | undefined;
  /** Jobs of the queue that start in a time, in all workers together: `'100/s'`, `'10/m'`. Default: no limit. */
  rateLimit?: Rate | undefined;
}

const QUEUE_OPTIONS: OptionNames<QueueOptions> = { concurrency: true, rateLimit: true };

/** A call as a router sees it. */
export interface RoutedCall {
  readonly task: string;
  /** Undefined also where it is not known yet: in a composition, and when a worker asks which queues to serve. */
  readonly input: unknown;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Queues by name of task, where `*` stands for any text (`'email.*'`) and the first that fits is taken; or a function,
 * which gives undefined for what it does not route.
 */
export type Routes = Readonly<Record<string, string>> | ((call: RoutedCall) => string | undefined);

export interface QueueSettings {
  readonly concurrency?: number;
  readonly rateLimit?: RateLimit;
}

export class Router {
  readonly #declared: ReadonlyMap<string, QueueSettings> | undefined;
  readonly #route: (call: RoutedCall) => string | undefined;
  /** Whether calls of one task can go to different queues. */
  readonly #isDynamic: boolean;
  /** The queues that patterns lead to. */
  readonly #routed: ReadonlySet<string>;

  /** @throws {InvalidOptionError} if a name or a setting has a value it cannot have. */
  constructor(
    queues: readonly string[] | Readonly<Record<string, QueueOptions>> | undefined,
    routes: Routes = {},
  ) {
    this.#declared = queues === undefined ? undefined : declared(queues);
    this.#isDynamic = typeof routes === 'function';
    this.#route = typeof routes === 'function' ? routes : byPattern(routes);
    this.#routed = new Set(typeof routes === 'function' ? [] : Object.values(routes));
    for (const queue of this.#routed) this.check(checkQueue('routes', queue), this.#routed);
  }

  /** The queue for a call. @throws {UnknownQueueError} if it is not one of the app's. */
  queueOf(call: RoutedCall, own: string | undefined, known: ReadonlySet<string>): string {
    const queue = own ?? this.#route(call) ?? DEFAULT_QUEUE;
    if (queue !== DEFAULT_QUEUE) this.check(queue, known);
    return queue;
  }

  /** The queue of a task as long as no input is known. */
  usualQueue(task: string, own: string | undefined): string {
    return own ?? this.#route({ task, input: undefined, headers: {} }) ?? DEFAULT_QUEUE;
  }

  /** The queues to serve for these tasks. */
  queuesFor(tasks: readonly { name: string; queue: string | undefined }[]): string[] {
    if (this.#isDynamic && this.#declared !== undefined) return [...this.#declared.keys()];
    return [...new Set(tasks.map(({ name, queue }) => this.usualQueue(name, queue)))];
  }

  /** Every queue there is known to be. */
  all(known: ReadonlySet<string>): string[] {
    return [...new Set([DEFAULT_QUEUE, ...(this.#declared?.keys() ?? []), ...this.#routed, ...known])];
  }

  settingsOf(queue: string): QueueSettings | undefined {
    return this.#declared?.get(queue);
  }

  /** @throws {UnknownQueueError} if queues are declared and this is none of them. */
  checkDeclared(queue: string): void {
    if (this.#declared !== undefined) this.check(queue, new Set());
  }

  /** @throws {UnknownQueueError} if the queue is none of the declared ones or, without such, none that a task or a route names. */
  check(queue: string, known: ReadonlySet<string>): void {
    const isKnown =
      this.#declared === undefined ? known.has(queue) || this.#routed.has(queue) : this.#declared.has(queue);
    if (isKnown) return;
    checkName('queue', queue);
    throw new UnknownQueueError(
      queue,
      this.#declared === undefined ? this.all(known) : [...this.#declared.keys()],
    );
  }
}

function declared(
  queues: readonly string[] | Readonly<Record<string, QueueOptions>>,
): Map<string, QueueSettings> {
  const entries: [string, QueueOptions][] = Array.isArray(queues)
    ? queues.map((name: string) => [name, {}])
    : Object.entries(queues);
  return new Map(
    [[DEFAULT_QUEUE, {}] as [string, QueueOptions], ...entries].map(([name, options]) => {
      const { concurrency, rateLimit } = checkOptions(options, QUEUE_OPTIONS, {
        option: `queues.${name}`,
        above: `queues.${name}.`,
      });
      return [
        checkQueue('queues', name),
        {
          ...(concurrency !== undefined && {
            concurrency: checkInteger(`queues.${name}.concurrency`, concurrency, 1, 1_000_000),
          }),
          ...(rateLimit !== undefined && { rateLimit: rateOf(rateLimit, `queues.${name}.rateLimit`) }),
        },
      ];
    }),
  );
}

function byPattern(routes: Readonly<Record<string, string>>): (call: RoutedCall) => string | undefined {
  const patterns = Object.entries(routes).map(([pattern, queue]) => ({ parts: pattern.split('*'), queue }));
  const known = new Map<string, string | undefined>();
  return ({ task }) => {
    if (!known.has(task)) known.set(task, patterns.find(({ parts }) => fits(task, parts))?.queue);
    return known.get(task);
  };
}

/** Whether a name is the parts in this order, with any text between them. */
function fits(name: string, parts: readonly string[]): boolean {
  const [first = '', ...rest] = parts;
  if (rest.length === 0) return name === first;
  const last = rest.pop() ?? '';
  if (!name.startsWith(first) || !name.endsWith(last) || name.length < first.length + last.length)
    return false;
  let at = first.length;
  for (const part of rest) {
    const found = name.indexOf(part, at);
    if (found < 0 || found + part.length > name.length - last.length) return false;
    at = found + part.length;
  }
  return true;
}
