import type { BackendOptions } from '../bullmq/backends.js';
import { orderReader, publishReply, type Termination } from '../bullmq/control.js';
import type { EventFields, EventReader } from '../bullmq/event-reader.js';
import type { Store } from '../bullmq/store.js';
import type { Clock } from '../clock.js';
import { isUmbelError } from '../errors.js';
import { MAX_ANSWER_BYTES } from './asking.js';
import { MAX_WAIT_MS, type Order, type OrderKind, readOrder } from './order.js';
import type { Fields } from './reading.js';

/** What a worker does about an order; gives what it answers, as plain data. `afterwards` runs once it has answered. */
export type Doing = (args: Fields, afterwards: (run: () => void) => void) => unknown;

export interface OrderTakerOptions {
  /** Of the worker. */
  readonly id: string;
  readonly store: Store;
  readonly backend: BackendOptions;
  readonly clock: Clock;
  readonly terminate: (job: Termination) => void;
  /** Undefined for a worker that takes no orders. */
  readonly doings: Readonly<Record<OrderKind, Doing>> | undefined;
  readonly warn: (message: string) => void;
}

/** Clocks of machines may differ by as much, of the asker's and of the worker's each. */
const GRACE_MS = 2000;
const KEPT_IDS = 1000;
/** Orders that are obeyed at a time. */
const MAX_UNDER_WAY = 100;
const REPLY_MS = 5000;

/** Obeys what one worker is told, and answers, until it is closed. */
export class OrderTaker {
  readonly #options: OrderTakerOptions;
  readonly #reader: EventReader;
  /** An order may be written twice where it was not known whether the store had taken it. */
  readonly #obeyed = new Set<string>();
  readonly #warned = new Set<string>();
  readonly #underWay = new Set<Promise<void>>();

  /** @param from The position from which on orders are read; undefined: from now on. */
  constructor(options: OrderTakerOptions, from: string | undefined) {
    this.#options = options;
    const { backend, terminate } = options;
    this.#reader = orderReader(backend, from, { terminate, order: (fields) => this.#take(fields) });
  }

  /** Settles when all that was ordered has been answered: a later answer would open the connection again. */
  async close(): Promise<void> {
    await this.#reader.close();
    await Promise.all(this.#underWay);
  }

  #take(fields: EventFields): void {
    const { id, doings } = this.#options;
    if (doings === undefined) return;
    const order = readOrder(fields);
    if (typeof order === 'string') this.#ignore(order);
    else if (order.to === undefined || order.to.has(id)) this.#takeOwn(order, doings);
  }

  #takeOwn(order: Order, doings: Readonly<Record<OrderKind, Doing>>): void {
    if (this.#obeyed.has(order.id)) return;
    const reason = this.#reasonAgainst(order);
    if (reason !== undefined) {
      this.#ignore(reason);
      return;
    }
    this.#obeyed.add(order.id);
    for (const oldest of this.#obeyed) if (this.#obeyed.size > KEPT_IDS) this.#obeyed.delete(oldest);
    const obeying = this.#obey(order, doings[order.kind]);
    this.#underWay.add(obeying);
    void obeying.then(() => this.#underWay.delete(obeying));
  }

  #reasonAgainst({ until }: Order): string | undefined {
    const leftMs = until - this.#options.clock.now();
    if (leftMs > MAX_WAIT_MS + GRACE_MS) return 'it is from the future';
    // Whoever gave it has been told that this worker is missing, and may have done something else.
    if (leftMs < -GRACE_MS) return 'it came too late';
    return this.#underWay.size >= MAX_UNDER_WAY ? 'too many come at a time' : undefined;
  }

  async #obey(order: Order, does: Doing): Promise<void> {
    const { store, id } = this.#options;
    let run = () => {};
    const answer = await answerOf(order, (args) =>
      does(args, (later) => {
        run = later;
      }),
    );
    try {
      await publishReply(store, { to: order.id, from: id, answer }, REPLY_MS);
    } catch {
      // The asker finds this worker missing; of a store that is away, its connections tell.
    }
    run();
  }

  /** Tells once why orders are ignored: they may come by the thousand. */
  #ignore(reason: string): void {
    if (this.#warned.has(reason)) return;
    this.#warned.add(reason);
    this.#options.warn(`an order to workers was ignored: ${reason}`);
  }
}

async function answerOf({ args }: Order, does: (args: Fields) => unknown): Promise<string> {
  try {
    const answer = JSON.stringify({ ok: await does(args) });
    const bytes = Buffer.byteLength(answer);
    if (bytes <= MAX_ANSWER_BYTES) return answer;
    return failure(`its answer takes ${bytes} bytes, more than ${MAX_ANSWER_BYTES}`);
  } catch (error) {
    // Its words are ours where the order was at fault; others may hold anything.
    return failure(isUmbelError(error) ? error.message : 'an error in the worker');
  }
}

function failure(error: string): string {
  return JSON.stringify({ error: error.slice(0, 2000) });
}
