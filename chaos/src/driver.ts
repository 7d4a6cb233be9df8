/** Sends workflows, waits for each of them, and asks again in the end. */
import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { type App, type AsyncResult, isUmbelError } from '@umbel/core';
import { cleaned } from '../../packages/canvas/test/support/node-task.js';
import type { History, SeenOutcome } from './history.js';
import { defineTasks, type Tasks } from './tasks.js';
import { send, type Workload } from './workload.js';

/** How many are asked for at once in the end. */
const READERS = 20;
/** For an outcome that should be there. */
const FINAL_TIMEOUT_MS = 5000;

export class Driver {
  readonly #app: App;
  readonly #tasks: Tasks;
  readonly #workload: Workload;
  readonly #history: History;
  readonly #handles = new Map<number, AsyncResult<unknown>>();
  readonly #ended = new AbortController();
  /** Workflows that have not ended, as far as is known. */
  open = 0;
  submitted = 0;

  constructor(app: App, workload: Workload, history: History) {
    this.#app = app;
    this.#tasks = defineTasks(app);
    this.#workload = workload;
    this.#history = history;
    setMaxListeners(0, this.#ended.signal); // everyone who waits listens
  }

  /** Sends a workflow, again and again if it has a key, and waits for it. */
  start(index: number): void {
    this.open += 1;
    this.submitted += 1;
    void this.#follow(index).finally(() => {
      this.open -= 1;
    });
  }

  handle(index: number): AsyncResult<unknown> | undefined {
    return this.#handles.get(index);
  }

  /** Asks the store once more how each workflow has ended. */
  async readFinals(): Promise<void> {
    this.#ended.abort();
    const left = [...this.#handles];
    const read = async () => {
      for (let next = left.pop(); next !== undefined; next = left.pop()) {
        const [workflow, { id }] = next;
        const handle = this.#app.result(id);
        const state = await handle.state();
        const outcome = await outcomeOf(handle, AbortSignal.timeout(FINAL_TIMEOUT_MS));
        if (outcome !== undefined) this.#history.note({ event: 'final', workflow, state, outcome });
      }
    };
    await Promise.all(Array.from({ length: READERS }, read));
  }

  async #follow(index: number): Promise<void> {
    const handle = await this.#send(index);
    if (handle === undefined) return;
    const outcome = await outcomeOf(handle, this.#ended.signal);
    if (outcome !== undefined) this.#history.note({ event: 'outcome', workflow: index, outcome });
  }

  async #send(index: number): Promise<AsyncResult<unknown> | undefined> {
    const workflow = this.#workload.at(index);
    // Without a key nobody can tell whether a sending that was not acknowledged has arrived.
    const key = index % 2 === 0 ? `workflow ${index}` : undefined;
    const options = key === undefined ? {} : { idempotencyKey: key };
    for (;;) {
      this.#history.note({ event: 'submit', workflow: index, key });
      try {
        const handle = await send(workflow, this.#tasks, options);
        this.#history.note({ event: 'acknowledged', workflow: index, run: handle.id });
        this.#handles.set(index, handle);
        return handle;
      } catch (error) {
        this.#history.note({ event: 'rejected', workflow: index, error: String(error) });
        if (key === undefined || !isUmbelError(error, 'CONNECTION')) return undefined;
      }
    }
  }
}

/** How it ended, however often the store is away meanwhile; undefined if `signal` comes first. */
async function outcomeOf(
  handle: AsyncResult<unknown>,
  signal: AbortSignal,
): Promise<SeenOutcome | undefined> {
  for (;;) {
    try {
      const outcome = await handle.outcome({ signal });
      if (outcome.ok) return { ok: true, value: cleaned(outcome.value) };
      const { message, state } = outcome.error;
      return { ok: false, message, state };
    } catch (error) {
      if (signal.aborted) return undefined;
      if (!isUmbelError(error, 'CONNECTION')) return { ok: false, message: `the wait ended: ${error}` };
      await sleep(100);
    }
  }
}
