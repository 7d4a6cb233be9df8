/** Sends workflows, waits for each of them, and asks again in the end. */
import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { type App, type AsyncResult, isUmbelError } from '@umbel/core';
import { cleaned } from '../../packages/canvas/test/support/node-task.js';
import type { History, SeenOutcome } from './history.js';
import type { Random } from './random.js';
import type { Sender } from './sender.js';
import { DECIDED, defineTasks, type Tasks } from './tasks.js';
import type { TimedSettings } from './timed-tasks.js';
import { LAST_VERSION } from './versions.js';
import { type SentTasks, send, type Workload } from './workload.js';

/** How many are asked for at once in the end. */
const READERS = 20;
/** Between two looks for open waits, and how many each finds. */
const SIGNAL_MS = 100;
const OPEN_WAITS = 100;
/** For an outcome that should be there. */
const FINAL_TIMEOUT_MS = 5000;
/** How often one workflow is sent at once, where duplicates are sent. */
const DUPLICATES = 50;

/** Without a key nobody can tell whether a sending that was not acknowledged has arrived: both are to be seen. */
export function keyOf(index: number): string | undefined {
  return index % 2 === 0 ? `workflow ${index}` : undefined;
}

export class Driver implements Sender {
  readonly #app: App;
  readonly #tasks: Tasks;
  readonly #workload: Workload;
  readonly #history: History;
  readonly #handles = new Map<number, AsyncResult<unknown>>();
  /** Acknowledged, and not ended as far as is known. */
  readonly #waiting = new Set<number>();
  readonly #ended = new AbortController();
  /** Workflows that are being sent, or have not ended. */
  open = 0;
  submitted = 0;
  duplicates = 0;
  /** The version of the code that sends: it knows the tasks of all versions, and uses those of this one. */
  version = 1;

  constructor(app: App, workload: Workload, history: History, timed?: TimedSettings) {
    this.#app = app;
    this.#tasks = defineTasks(app, { note: () => {}, version: LAST_VERSION, timed });
    this.#workload = workload;
    this.#history = history;
    setMaxListeners(0, this.#ended.signal); // everyone who waits listens
  }

  /** Lets `sender` send a workflow, and waits for its end. */
  start(index: number, sender: Sender): void {
    this.open += 1;
    this.submitted += 1;
    void sender
      .send(index)
      .then(() => this.#follow(index))
      .finally(() => {
        this.open -= 1;
      });
  }

  /** The task of the limited queue, if there is one. */
  get limited(): Tasks['limited'] {
    return this.#tasks.limited;
  }

  get #sent(): SentTasks {
    const { nodes, node, signals, poison, appointed } = this.#tasks;
    return { node: nodes[this.version - 1] ?? node, signals, poison, appointed };
  }

  /** A workflow was acknowledged; the first of its runs is waited for. */
  acknowledged(index: number, run: string): void {
    this.#history.note({ event: 'acknowledged', workflow: index, run });
    if (!this.#handles.has(index)) this.#handles.set(index, this.#app.result(run));
    this.#waiting.add(index);
  }

  async send(index: number): Promise<void> {
    const workflow = this.#workload.at(index);
    const key = keyOf(index);
    const options = key === undefined ? {} : { idempotencyKey: key };
    for (;;) {
      this.#history.note({ event: 'submit', workflow: index, key });
      try {
        const { id } = await send(workflow, this.#sent, options);
        this.acknowledged(index, id);
        return;
      } catch (error) {
        this.#history.note({ event: 'rejected', workflow: index, error: String(error) });
        if (key === undefined || !isUmbelError(error, 'CONNECTION')) return;
      }
    }
  }

  /** Sends two signals at once for each wait that is open, again and again until `signal` aborts. */
  async sendSignals(signal: AbortSignal): Promise<void> {
    for (let round = 0; !signal.aborted; round += 1) {
      await sleep(SIGNAL_MS, undefined, { signal }).catch(() => {});
      const keys = await this.#openKeys();
      const rivals = keys.flatMap((key) => ['a', 'b'].map((who) => this.#signal(key, `${who}${round}`)));
      await Promise.all(rivals);
    }
  }

  async #openKeys(): Promise<string[]> {
    try {
      const { items } = await this.#app.signals.waiting({ name: DECIDED, limit: OPEN_WAITS });
      return items.map(({ key }) => key);
    } catch (error) {
      if (isUmbelError(error, 'CONNECTION')) return [];
      throw error;
    }
  }

  async #signal(key: string, by: string): Promise<void> {
    try {
      const answer = await this.#tasks.signals.decided.send(key, { signalBy: by, signalKey: key });
      this.#history.note({ event: 'signalled', key, by, answer });
    } catch (error) {
      if (!isUmbelError(error, 'CONNECTION')) throw error; // it may have arrived
    }
  }

  /** Sends one workflow many times at once, with one key. */
  async sendDuplicates(index: number): Promise<void> {
    this.duplicates += 1;
    const options = { idempotencyKey: `workflow ${index}` };
    const sendOne = async () => {
      this.#history.note({ event: 'submit', workflow: index, key: options.idempotencyKey });
      const { id } = await send(this.#workload.at(index), this.#sent, options);
      this.acknowledged(index, id);
    };
    const sent = await Promise.allSettled(Array.from({ length: DUPLICATES }, sendOne));
    for (const each of sent) {
      if (each.status === 'rejected') {
        this.#history.note({ event: 'rejected', workflow: index, error: String(each.reason) });
      }
    }
  }

  /** Revokes a workflow that has not ended, until that is acknowledged, and perhaps again. False if there is none. */
  async revokeOne(random: Random): Promise<boolean> {
    const waiting = [...this.#waiting];
    const index = waiting[random.below(waiting.length)];
    const handle = index === undefined ? undefined : this.#handles.get(index);
    if (index === undefined || handle === undefined) return false;
    const terminate = random.below(2) === 0;
    const revoke = async () => {
      const since = Date.now();
      for (;;) {
        try {
          const answer = await handle.revoke({ terminate });
          this.#history.note({ event: 'revoked', workflow: index, answer, since });
          return;
        } catch (error) {
          if (!isUmbelError(error, 'CONNECTION')) throw error;
        }
      }
    };
    await Promise.all(random.below(3) === 0 ? [revoke(), revoke()] : [revoke()]);
    return true;
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

  async close(): Promise<void> {
    await this.#app.close();
  }

  async #follow(index: number): Promise<void> {
    const handle = this.#handles.get(index);
    if (handle === undefined) return;
    const since = Date.now();
    const outcome = await outcomeOf(handle, this.#ended.signal);
    this.#waiting.delete(index);
    if (outcome !== undefined) this.#history.note({ event: 'outcome', workflow: index, outcome, since });
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
