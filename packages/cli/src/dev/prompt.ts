/** Calls of tasks as they are typed: the name of a task and its input, a line each. */
import { createInterface, type Interface } from 'node:readline';
import type { App } from '@umbel/core';
import { problemOf } from '../errors/problem.js';
import { parseJson } from '../json-input.js';
import { closest } from '../output/closest.js';
import type { Output } from '../output/output.js';
import { cleanLine, jsonText } from '../output/text.js';
import type { WorkerLog } from '../worker/log.js';

export class Prompt {
  readonly #app: App;
  readonly #out: Output;
  readonly #log: WorkerLog;
  #lines: Interface | undefined;

  constructor(app: App, out: Output, log: WorkerLog) {
    this.#app = app;
    this.#out = out;
    this.#log = log;
  }

  /** Reads calls from `input` until it ends. */
  start(input: NodeJS.ReadableStream & { readonly isTTY?: boolean }): void {
    const [first] = this.#names();
    if (input.isTTY && first !== undefined)
      this.#out.note(`Type a call, such as: ${cleanLine(first)} {"key":"value"}`);
    // Without a terminal of its own, so that Ctrl-C stays a signal.
    this.#lines = createInterface({ input, terminal: false });
    this.#lines.on('line', (line) => {
      if (line.trim() !== '') void this.#call(line.trim());
    });
  }

  stop(): void {
    this.#lines?.close();
  }

  async #call(line: string): Promise<void> {
    const [, task = '', text = ''] = /^(\S+)\s*(.*)$/.exec(line) ?? [];
    try {
      const names = this.#names();
      if (!names.includes(task)) {
        this.#log.warn(`There is no task "${task}". ${closest(task, names)}`);
        return;
      }
      const result = await this.#app.send(task, text === '' ? undefined : parseJson(text, 'The input'));
      const value = await result.get();
      this.#log.event('info', 'result', `result     ${cleanLine(result.id)}  ${jsonText(value)}`, {
        id: result.id,
        task,
        result: value,
      });
    } catch (error) {
      const { what, why = '' } = problemOf(error, true);
      const isTold = error instanceof Error && error.name === 'TaskFailedError'; // the attempt has its line
      if (!isTold) this.#log.error(`${what} ${why}`);
    }
  }

  #names(): string[] {
    return this.#app.describe().tasks.map(({ name }) => name);
  }
}
