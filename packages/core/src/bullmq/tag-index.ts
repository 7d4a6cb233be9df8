/**
 * Which calls and runs bear a tag. For each tag and day the store holds a job that never runs, in a queue that nobody
 * serves; the lines of its log name what was sent. Adding a line is one atomic command of every store, and old days go
 * as a whole, so the index grows with what is sent in the time that results are kept, and not for ever.
 */
import { createHash } from 'node:crypto';
import type { Store } from './store.js';
import type { JobPlace } from './tree.js';

const TAG_QUEUE = 'umbel.tags';
const DAY_MS = 86_400_000;
/** Calls and runs of one tag and day that are found. */
const KEPT_LINES = 100_000;
const PAGE = 1000;

/** Where something is that bears a tag, and where that is noted. */
export interface TaggedPlace extends JobPlace {
  /** Days since 1970, and the line among those of that day. */
  readonly day: number;
  readonly line: number;
}

export class TagIndex {
  readonly #store: Store;
  readonly #keepMs: number;
  /** The day when old entries were removed last. */
  #cleaned: number | undefined;

  /** `keepMs`: how long what was sent is in the store at most. */
  constructor(store: Store, keepMs: number) {
    this.#store = store;
    this.#keepMs = keepMs;
  }

  /** Adds a call or a run. Before it is stored: one that is in the store is always found. */
  async add(tags: Iterable<string>, { queue, id }: JobPlace, now: number): Promise<void> {
    const all = [...tags];
    if (all.length === 0) return;
    const day = Math.floor(now / DAY_MS);
    for (const tag of all) {
      const entry = entryId(tag, day);
      await this.#store.on(TAG_QUEUE, async (bull) => {
        await bull.add('tag', { umbel: 1, input: { tag } }, { jobId: entry, delay: this.#keepMs + DAY_MS });
        await bull.getBackend().addLog(entry, `${queue}/${id}`, KEPT_LINES);
      });
    }
    if (this.#cleaned === day) return;
    this.#cleaned = day;
    await this.#store.on(TAG_QUEUE, (bull) => bull.clean(this.#keepMs + DAY_MS, PAGE, 'delayed'));
  }

  /**
   * What was sent with a tag, the latest day first; some of it may be gone from the store. `from`: without what comes
   * before that line of that day.
   */
  async *find(tag: string, now: number, from?: { day: number; line: number }): AsyncGenerator<TaggedPlace> {
    const today = Math.floor(now / DAY_MS);
    const first = Math.floor((now - this.#keepMs) / DAY_MS);
    for (let day = Math.min(today, from?.day ?? today); day >= first; day -= 1) {
      yield* this.#ofDay(entryId(tag, day), day, day === from?.day ? from.line : 0);
    }
  }

  async *#ofDay(entry: string, day: number, firstLine: number): AsyncGenerator<TaggedPlace> {
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

/** Hashed: tags may be any text. */
function entryId(tag: string, day: number): string {
  return `${createHash('sha256').update(tag).digest('base64url').slice(0, 32)}.${day}`;
}
