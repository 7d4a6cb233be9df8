import type { NewJob } from '../bullmq/store.js';

/** The id under which each job is stored: its own, or that of an equal one. */
type Ids = ReadonlyMap<NewJob, string>;

/** Calls that go through middleware each by itself, and are stored together. */
export class Batch {
  readonly #storeAll: (jobs: readonly NewJob[]) => Promise<Ids>;
  readonly #jobs: NewJob[] = [];
  /** Each resolves once its call has come through the middleware, or has ended before. */
  readonly #arrivals: Promise<unknown>[] = [];
  readonly #stored: Promise<Ids>;
  #settle: (stored: Promise<Ids>) => void = () => {};

  constructor(storeAll: (jobs: readonly NewJob[]) => Promise<Ids>) {
    this.#storeAll = storeAll;
    this.#stored = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.#stored.catch(() => {}); // told to each call
  }

  /** One call: `send` hands its job to `store`, which resolves once the whole batch is stored. */
  add(send: (store: (job: NewJob) => Promise<NewJob>) => Promise<{ id: string }>): Promise<NewJob> {
    let job: NewJob | undefined;
    let hasArrived = () => {};
    const arrival = new Promise<void>((resolve) => {
      hasArrived = resolve;
    });
    const sent = send(async (own) => {
      job = own;
      this.#jobs.push(own);
      hasArrived();
      const ids = await this.#stored;
      job = { ...own, id: ids.get(own) ?? own.id };
      return job;
    }).then(() => {
      if (job === undefined) throw new Error('middleware has not called next() for one of the calls');
      return job;
    });
    sent.catch(() => {}); // told by `send`, or to whoever waits for it
    this.#arrivals.push(Promise.race([arrival, sent]));
    return sent;
  }

  /** Stores the batch once every call has arrived. @throws what kept a call from it; nothing is stored then. */
  async send(): Promise<void> {
    const stored = Promise.all(this.#arrivals).then(() => this.#storeAll(this.#jobs));
    this.#settle(stored);
    await stored;
  }
}
