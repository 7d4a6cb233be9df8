/**
 * This module combines calls of the same turn of the event loop into one command: calls of many jobs at once, such as
 * schedules that are due in the same second, then cost the client and the store as much as one call.
 */

interface Call<Ask, Answer> {
  readonly ask: Ask;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

/** Maximum number of calls in one command, so that it blocks the store for at most a millisecond or two. */
const AT_ONCE = 50;

export class Coalesced<Ask, Answer> {
  readonly #command: (asks: readonly Ask[]) => Promise<readonly Answer[]>;
  #calls: Call<Ask, Answer>[] = [];

  /** @param command Answers several calls, in their order. If it rejects, each of them does. */
  constructor(command: (asks: readonly Ask[]) => Promise<readonly Answer[]>) {
    this.#command = command;
  }

  /** Returns the answer to a call. The command is sent at the end of this turn. */
  call(ask: Ask): Promise<Answer> {
    if (this.#calls.length === 0) process.nextTick(() => this.#send());
    return new Promise((resolve, reject) => {
      this.#calls.push({ ask, resolve, reject });
    });
  }

  #send(): void {
    const calls = this.#calls;
    this.#calls = [];
    for (let at = 0; at < calls.length; at += AT_ONCE) void this.#run(calls.slice(at, at + AT_ONCE));
  }

  async #run(calls: readonly Call<Ask, Answer>[]): Promise<void> {
    try {
      const answers = await this.#command(calls.map(({ ask }) => ask));
      for (const [index, { resolve }] of calls.entries()) resolve(answers[index] as Answer); // one answer per call
    } catch (error) {
      for (const { reject } of calls) reject(error);
    }
  }
}
