import { InvalidOptionError } from '../errors.js';
import { droppedOptions, hasOptions, SENDER, type Sender, TaskSignature } from './signature.js';
import { refuseUnbound } from './unbound.js';

/** A task at run time: the signature of its call with nothing bound, and the maker of others. */
export class TaskObject extends TaskSignature {
  readonly name: string;

  constructor(name: string, sender: Sender | undefined) {
    super({ kind: 'task', task: name }, sender);
    this.name = name;
  }

  s(bound?: object, ...more: unknown[]): TaskSignature {
    if (hasOptions(more)) throw droppedOptions('s', '.s({ … }).set({ … })', more);
    return this.#signature(bound === undefined ? {} : { input: boundKeys(bound) });
  }

  si(input?: unknown, ...more: unknown[]): TaskSignature {
    if (hasOptions(more)) throw droppedOptions('si', '.si(input).set({ … })', more);
    return this.#signature({ immutable: true, ...(input !== undefined && { input: input }) });
  }

  into(key: string, rest?: object, ...more: unknown[]): TaskSignature {
    if (hasOptions(more)) throw droppedOptions('into', '.into(key, { … }).set({ … })', more);
    if (key === '__proto__') throw new InvalidOptionError('into', 'another key than "__proto__"', key);
    return this.#signature({ into: key, ...(rest !== undefined && { input: boundKeys(rest) }) });
  }

  #signature(parts: { input?: unknown; into?: string; immutable?: true }): TaskSignature {
    return new TaskSignature({ kind: 'task', task: this.name, ...parts }, this[SENDER]);
  }
}

/** A key that is undefined is not bound: the previous result, or the call, may bring it. */
function boundKeys(part: object): object {
  return Object.fromEntries(Object.entries(part).filter(([, value]) => value !== undefined));
}

refuseUnbound(TaskObject, 'task');
