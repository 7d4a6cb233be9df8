/**
 * The index of tags in what BullMQ's contract has: of a store that has no index of its own, and as older versions have
 * written it. For each tag and day the store holds a job that never runs, in a queue that nobody serves; the lines of its
 * log name what was sent. Old days go as a whole, so what waits for longer than results are kept is lost from it.
 */
import type { Store } from './store.js';
import type { JobPlace } from './tree.js';

export const TAG_QUEUE = 'umbel.tags';
const DAY_MS = 86_400_000;
/** Calls and runs of one tag and day that are found. */
const KEPT_LINES = 100_000;
const PAGE = 1000;

/** Where something is that bears a tag, and where that is noted. */
export interface PlaceOfDay extends JobPlace {
  /** Days since 1970, and the line among those of that day. */
  readonly day: number;
  readonly line: number;
}

export class TagsByDay {
  readonly #store: Store;
  readonly #keepMs: number;

  /** `keepMs`: how long what has ended is in the store at most. */
  constructor(store: Store, keepMs: number) {
    this.#store = store;
    this.#keepMs = keepMs;
  }

  /** Adds a call or a run to the day of each tag, which are given by their hashes. */
  async add(tags: readonly string[], { queue, id }: JobPlace, now: number): Promise<void> {
    const day = Math.floor(now / DAY_MS);
    for (const tag of tags) {
      const entry = entryId(tag, day);
      await this.#store.on(TAG_QUEUE, async (bull) => {
        await bull.add('tag', { umbel: 1, input: { tag } }, { jobId: entry, delay: this.#keepMs + DAY_MS });
        await bull.getBackend().addLog(entry, `${queue}/${id}`, KEPT_LINES);
      });
    }
  }

  /** Removes old days. */
  async clean(): Promise<void> {
    for (let removed = PAGE; removed === PAGE && !this.#store.closed.aborted; )
      removed = (
        await this.#store.on(TAG_QUEUE, (bull) => bull.clean(this.#keepMs + DAY_MS, PAGE, 'delayed'))
      ).length;
  }

  /** What was sent with a tag, the latest day first; from a line of a day on. */
  async *find(tag: string, now: number, from?: { day: number; line: number }): AsyncGenerator<PlaceOfDay> {
    const [days = 0] = await this.#store.on(TAG_QUEUE, (bull) => bull.getBackend().getCounts(['delayed']));
    if (days === 0) return;
    const today = Math.floor(now / DAY_MS);
    const first = Math.floor((now - this.#keepMs) / DAY_MS);
    for (let day = Math.min(today, from?.day ?? today); day >= first; day -= 1) {
      yield* this.#ofDay(entryId(tag, day), day, day === from?.day ? from.line : 0);
    }
  }

  async *#ofDay(entry: string, day: number, firstLine: number): AsyncGenerator<PlaceOfDay> {
    const seen = new Set<string>();
    for (let start = firstLine; ; start += PAGE) {
      const { logs } = await this.#store.on(TAG_QUEUE, (bull) =>
        bull.getJobLogs(entry, start, start + PAGE - 1),
      );
      for (const [index, line] of logs.entries()) {
        if (seen.has(line)) continue;
        seen.add(line);
        const slash = line.indexOf('/');
        yield { queue: line.slice(0, slash), id: line.slice(slash + 1), day, line: start + index };
      }
      if (logs.length < PAGE) return;
    }
  }
}

function entryId(tag: string, day: number): string {
  return `${tag}.${day}`;
}
