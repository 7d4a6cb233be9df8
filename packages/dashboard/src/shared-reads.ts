/** This module lets requests of many pages share what they read: each answer is used again for a second. */

/** How long an answer is used again, unless the caller says otherwise. */
const KEPT_MS = 1000;
const MAX_KEPT = 500;

/**
 * Answers by what was asked. Only answers that are the same for every user belong here: whether a user may see them is asked
 * before. An answer that fails is not kept, so the next request asks again. When many different questions are asked, the
 * further ones are answered without being kept, so the memory stays bounded.
 */
export class SharedReads {
  readonly #answers = new Map<string, Promise<unknown>>();

  /** Returns the answer to `question`, which `read` returns if nobody asked within `keptMs`: the last second. */
  get<Answer>(question: string, read: () => Promise<Answer>, keptMs = KEPT_MS): Promise<Answer> {
    const known = this.#answers.get(question);
    if (known !== undefined) return known as Promise<Answer>; // stored below, for the same question
    const answer = read();
    if (this.#answers.size < MAX_KEPT) {
      this.#answers.set(question, answer);
      const forget = () => this.#answers.delete(question);
      answer.catch(forget);
      setTimeout(forget, keptMs).unref();
    }
    return answer;
  }

  /** Forgets all answers: an action has changed what they say. */
  clear(): void {
    this.#answers.clear();
  }
}
