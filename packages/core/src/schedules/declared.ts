/** The schedules that the code of this process declares. */
import { ScheduleError } from '../errors.js';
import type { FlowNode } from '../flow/node.js';
import { inputDigest } from '../tasks/deduplication.js';
import type { ScheduleTimes } from './options.js';

export interface Declaration extends ScheduleTimes {
  readonly name: string;
  /** Its inputs are not sealed. */
  readonly target: FlowNode;
  /** The same for the same declaration, in whatever process. */
  readonly digest: string;
}

export class Declarations {
  readonly #byName = new Map<string, Declaration>();

  /** @throws {ScheduleError} if the name is taken. */
  add(name: string, times: ScheduleTimes, target: FlowNode): void {
    if (this.#byName.has(name)) {
      throw new ScheduleError(name, 'is already declared in this app. Give one of the two another name.');
    }
    this.#byName.set(name, { ...times, name, target, digest: inputDigest({ ...times, target }) });
  }

  get(name: string): Declaration | undefined {
    return this.#byName.get(name);
  }

  all(): Declaration[] {
    return [...this.#byName.values()];
  }
}
