const DEFAULT_MAX_EVENTS = 10_000;

/** The settings of one queue, with the ones read for each job held as numbers. */
export class QueueMeta {
  readonly #fields = new Map<string, string>();
  #paused = false;
  #concurrency: number | undefined;
  #max: number | undefined;
  #duration: number | undefined;
  #maxEvents: number | undefined;

  get paused(): boolean {
    return this.#paused;
  }

  /** The limit of active jobs over all workers, if one is set. */
  get concurrency(): number | undefined {
    return this.#concurrency;
  }

  /** The limit of jobs started in one rate-limit window, if one is set for the queue. */
  get max(): number | undefined {
    return this.#max;
  }

  /** The length of a rate-limit window in milliseconds, if one is set for the queue. */
  get duration(): number | undefined {
    return this.#duration;
  }

  /** How many events are kept; asking writes the default down, as BullMQ does. */
  maxEvents(): number {
    if (this.#maxEvents === undefined) this.set('opts.maxLenEvents', String(DEFAULT_MAX_EVENTS));
    return this.#maxEvents ?? DEFAULT_MAX_EVENTS;
  }

  /** Whether nothing was said of the queue, but what is written down by looking. */
  get isEmpty(): boolean {
    return [...this.#fields.keys()].every((field) => field.startsWith('opts.') || field === 'version');
  }

  get(field: string): string | null {
    return this.#fields.get(field) ?? null;
  }

  all(): Record<string, string> {
    return Object.fromEntries(this.#fields);
  }

  /** Whether the field is new. */
  set(field: string, value: string): boolean {
    const isNew = !this.#fields.has(field);
    this.#fields.set(field, value);
    this.#refresh(field);
    return isNew;
  }

  /** Whether the field was set. */
  delete(field: string): boolean {
    const existed = this.#fields.delete(field);
    this.#refresh(field);
    return existed;
  }

  clear(): void {
    for (const field of [...this.#fields.keys()]) this.delete(field);
  }

  #refresh(field: string): void {
    const value = this.#fields.get(field);
    const amount = value === undefined ? undefined : Number(value);
    if (field === 'paused') this.#paused = value !== undefined;
    else if (field === 'concurrency') this.#concurrency = amount;
    else if (field === 'max') this.#max = amount;
    else if (field === 'duration') this.#duration = amount;
    else if (field === 'opts.maxLenEvents') this.#maxEvents = amount;
  }
}
