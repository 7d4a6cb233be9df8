/**
 * This module lets requests of many pages share what they read: each answer is used again for a second, and longer while the
 * events of the app show that nothing has changed.
 */

/** How long an answer is used again. */
interface Keeping {
  /** In any case. Default: a second. */
  readonly keptMs?: number;
  /** While no event of the app says that something has changed. Default: `keptMs`. */
  readonly unchangedMs?: number;
}

const KEPT_MS = 1000;
/** The oldest answer is forgotten when there are more. */
const MAX_KEPT = 500;

interface Answer {
  readonly content: Promise<unknown>;
  readonly readAt: number;
  /** The state of the app when it was read. */
  readonly revision: number | undefined;
}

/**
 * Answers by what was asked. Only answers that are the same for every user belong here: whether a user may see them is asked
 * before. An answer that fails is not kept, so the next request asks again. The memory is bounded: old answers make room.
 */
export class SharedReads {
  readonly #answers = new Map<string, Answer>();
  readonly #revision: () => number | undefined;

  /**
   * @param revision Returns a number that changes with each event of the app; undefined while its events are not read. All
   * answers are then used again for `keptMs` only.
   */
  constructor(revision: () => number | undefined = () => undefined) {
    this.#revision = revision;
  }

  /** Returns the answer to `question`, which `read` returns unless there is one that is young enough. */
  get<Content>(
    question: string,
    read: () => Promise<Content>,
    { keptMs = KEPT_MS, unchangedMs = keptMs }: Keeping = {},
  ): Promise<Content> {
    const revision = this.#revision();
    const now = performance.now();
    const known = this.#answers.get(question);
    if (known !== undefined) {
      const isUnchanged = revision !== undefined && revision === known.revision;
      const age = now - known.readAt;
      if (age < keptMs || (isUnchanged && age < unchangedMs)) return known.content as Promise<Content>; // stored below, for the same question
    }
    const content = read();
    const answer = { content, readAt: now, revision };
    this.#answers.delete(question);
    this.#answers.set(question, answer);
    const [oldest = ''] = this.#answers.keys();
    if (this.#answers.size > MAX_KEPT) this.#answers.delete(oldest);
    const forget = () => this.#answers.get(question) === answer && this.#answers.delete(question);
    content.catch(forget);
    setTimeout(forget, Math.max(keptMs, unchangedMs)).unref();
    return content;
  }

  /** Forgets all answers: an action has changed what they say. */
  clear(): void {
    this.#answers.clear();
  }
}

/**
 * Keeping of what changes with an event of the app. Once a minute it is read in any case: that a job is late, was removed by
 * another program, or lost its worker, is no event.
 */
export const UNTIL_CHANGE: Keeping = { unchangedMs: 60_000 };
