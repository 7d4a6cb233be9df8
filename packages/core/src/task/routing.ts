/** Routing: which queues an app has, and to which of them a call goes. */
import { UnknownQueueError } from '../base/errors.js';
import { checkInteger, checkOptions, type OptionNames } from '../base/option-checks.js';
import { checkName, checkQueue, type Rate, type RateLimit, rateOf } from './option-checks.js';

/** The queue of calls without a `queue` option and without a route. */
const DEFAULT_QUEUE = 'default';

/**
 * Limits of a queue over all its workers. They are stored when a worker starts to serve the queue.
 * @example
 * const app = createApp({ name: 'shop', queues: { mails: { rateLimit: '100/s' }, images: { concurrency: 8 } } });
 */
export interface QueueOptions {
  /** Jobs of the queue that run at the same time, over all workers. Default: only the limits of the workers. */
  concurrency?: number | undefined;
  /** Jobs of the queue that start in a period, over all workers: `'100/s'`, `'10/m'`. Default: no limit. */
  rateLimit?: Rate | undefined;
}

const QUEUE_OPTIONS: OptionNames<QueueOptions> = { concurrency: true, rateLimit: true };

/** The parameter of a routing function. */
export interface RoutedCall {
  readonly task: string;
  /** Also undefined while it is unknown: in a workflow, and when a worker determines the queues to serve. */
  readonly input: unknown;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Routes of an app: queues by task name, where `*` matches any text and the first match wins; or a function, which returns
 * undefined for calls that it does not route.
 * @example
 * const app = createApp({ name: 'shop', routes: { 'mail.*': 'mails', 'image.*': 'images' } });
 */
export type Routes = Readonly<Record<string, string>> | ((call: RoutedCall) => string | undefined);

export interface QueueSettings {
  readonly concurrency?: number;
  readonly rateLimit?: RateLimit;
}

/** The queues and routes of one app. */
export class Router {
  readonly #declared: ReadonlyMap<string, QueueSettings> | undefined;
  readonly #route: (call: RoutedCall) => string | undefined;
  /** Whether calls of one task can go to different queues. */
  readonly #isDynamic: boolean;
  /** The queues that are named in patterns. */
  readonly #routed: ReadonlySet<string>;

  /** @throws {InvalidOptionError} if a name or a setting is invalid. */
  constructor(
    queues: readonly string[] | Readonly<Record<string, QueueOptions>> | undefined,
    routes: Routes = {},
  ) {
    this.#declared = queues === undefined ? undefined : readQueues(queues);
    this.#isDynamic = typeof routes === 'function';
    this.#route = typeof routes === 'function' ? routes : matchPatterns(routes);
    this.#routed = new Set(typeof routes === 'function' ? [] : Object.values(routes));
    for (const queue of this.#routed) this.check(checkQueue('routes', queue), this.#routed);
  }

  /**
   * Returns the queue of a call.
   * @param explicit The `queue` option of the call or its task, which takes precedence over routes.
   * @throws {UnknownQueueError} if the queue does not exist in the app.
   */
  queueOf(call: RoutedCall, explicit: string | undefined, known: ReadonlySet<string>): string {
    const queue = explicit ?? this.#route(call) ?? DEFAULT_QUEUE;
    if (queue !== DEFAULT_QUEUE) this.check(queue, known);
    return queue;
  }

  /** Returns the queue of a task without considering an input. */
  usualQueue(task: string, explicit: string | undefined): string {
    return explicit ?? this.#route({ task, input: undefined, headers: {} }) ?? DEFAULT_QUEUE;
  }

  /** Returns the queues to serve for these tasks. */
  queuesFor(tasks: readonly { name: string; queue: string | undefined }[]): string[] {
    if (this.#isDynamic && this.#declared !== undefined) return [...this.#declared.keys()];
    return [...new Set(tasks.map(({ name, queue }) => this.usualQueue(name, queue)))];
  }

  /** Returns all known queues. */
  all(known: ReadonlySet<string>): string[] {
    return [...new Set([DEFAULT_QUEUE, ...(this.#declared?.keys() ?? []), ...this.#routed, ...known])];
  }

  settingsOf(queue: string): QueueSettings | undefined {
    return this.#declared?.get(queue);
  }

  /** @throws {UnknownQueueError} if the app declares queues, and this is none of them. */
  checkDeclared(queue: string): void {
    if (this.#declared !== undefined) this.check(queue, new Set());
  }

  /** @throws {UnknownQueueError} if the queue is not declared or, in an app without declared queues, named by no task or route. */
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

function readQueues(
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

function matchPatterns(routes: Readonly<Record<string, string>>): (call: RoutedCall) => string | undefined {
  const patterns = Object.entries(routes).map(([pattern, queue]) => ({ parts: pattern.split('*'), queue }));
  const known = new Map<string, string | undefined>();
  return ({ task }) => {
    if (!known.has(task)) known.set(task, patterns.find(({ parts }) => isMatch(task, parts))?.queue);
    return known.get(task);
  };
}

/** Returns whether a name consists of the parts in this order, with any text between them. */
function isMatch(name: string, parts: readonly string[]): boolean {
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
