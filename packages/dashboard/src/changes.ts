/**
 * This module tells open pages that something has changed. One reader of `app.events` serves all pages of a dashboard; it
 * runs only while a page listens. A page gets at most two messages a second, and reads again what it shows.
 */
import type { App, AppEvent } from '@umbel/core';

/** What has changed since the last message. */
interface Change {
  /** Ids of jobs, at most 200. */
  readonly jobs: readonly string[];
  /** Ids of workflow runs, at most 200. */
  readonly runs: readonly string[];
  /** Some ids were left out, events were lost, or it is time to read again: anything may have changed. */
  readonly isMore: boolean;
}

const INTERVAL_MS = 500;
/** How long before the first page listens the events begin: what was read before the reader had started may be old. */
const OVERLAP_MS = 10_000;
/** Pages also read again without a change, all at once, so that they share what they read. */
const TICK_MS = 15_000;
const MAX_IDS = 200;

type Listener = (change: Change) => void;

/** The listening pages of a dashboard, and the reader that serves them. */
export class Changes {
  readonly #app: App;
  readonly #listeners = new Set<Listener>();
  readonly #jobs = new Set<string>();
  readonly #runs = new Set<string>();
  #isMore = false;
  #revision = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #reading: AbortController | undefined;
  #ticks: ReturnType<typeof setInterval> | undefined;

  constructor(app: App) {
    this.#app = app;
  }

  /** Number of pages that listen. */
  get size(): number {
    return this.#listeners.size;
  }

  /** Whether the events of the app are read now. */
  get isReading(): boolean {
    return this.#reading !== undefined;
  }

  /** A number that changes with each event; undefined while the events are not read. */
  get revision(): number | undefined {
    return this.#reading && this.#revision;
  }

  /** Calls `listener` after changes until the returned function is called. */
  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener);
    if (this.#reading === undefined) {
      this.#reading = new AbortController();
      clearInterval(this.#ticks);
      this.#ticks = setInterval(() => this.tick(), TICK_MS).unref();
      void this.#read(this.#reading);
    }
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.close();
    };
  }

  /** Lets all pages read again what they show. */
  tick(): void {
    this.#isMore = true;
    clearTimeout(this.#timer);
    this.#send();
  }

  /** Lets pages read again: something has changed that is no event of the app. */
  announce(): void {
    this.#isMore = true;
    this.#timer ??= setTimeout(() => this.#send(), INTERVAL_MS).unref();
  }

  /** Stops the reader. */
  close(): void {
    this.#reading?.abort();
    this.#reading = undefined;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    clearInterval(this.#ticks);
    this.#listeners.clear();
  }

  async #read(reading: AbortController): Promise<void> {
    try {
      const from = new Date(Date.now() - OVERLAP_MS);
      for await (const event of this.#app.events({ from, signal: reading.signal })) this.#note(event);
    } catch {
      // The store refuses it, or the app is closed. Pages poll less often then.
    }
    if (this.#reading === reading) this.#reading = undefined;
  }

  #note(event: AppEvent): void {
    this.#revision += 1;
    if (event.type === 'gap') this.#isMore = true;
    if ('id' in event) this.#add(this.#jobs, event.id);
    if ('runId' in event && event.runId !== undefined) this.#add(this.#runs, event.runId);
    this.#timer ??= setTimeout(() => this.#send(), INTERVAL_MS).unref();
  }

  #add(ids: Set<string>, id: string): void {
    if (ids.size < MAX_IDS) ids.add(id);
    else this.#isMore = true;
  }

  #send(): void {
    this.#timer = undefined;
    const change = { jobs: [...this.#jobs], runs: [...this.#runs], isMore: this.#isMore };
    this.#jobs.clear();
    this.#runs.clear();
    this.#isMore = false;
    for (const listener of this.#listeners) listener(change);
  }
}
