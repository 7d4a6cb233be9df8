import { ClosedError } from '../../errors.js';
import { ChildHandle, programFor } from './child-handle.js';

/** More than a process takes to start and to load its code, also on a busy machine. */
const LOAD_MS = 60_000;

/** The child processes of one worker. One that has ended a run is kept for the next of the same module. */
export class ChildPool {
  /** How long a child may take to load its module, in milliseconds. */
  readonly loadMs: number;
  readonly #limit: number;
  /** Also those that are about to end. */
  readonly #children = new Set<ChildHandle>();
  /** The one that was used last stands last. */
  readonly #idle: ChildHandle[] = [];
  #isClosed = false;

  /** No child is kept beyond `limit` children; there are more only while as many runs go on. */
  constructor(limit: number, loadMs = LOAD_MS) {
    this.#limit = limit;
    this.loadMs = loadMs;
  }

  /**
   * A child for the module of a task, until it is given back.
   * @throws {ClosedError} if the pool was closed.
   * @throws {ChildProcessError} if no child can be started in this program.
   */
  take(module: string, task: string): ChildHandle {
    if (this.#isClosed) throw new ClosedError('The worker of this isolated task was closed.');
    const index = this.#idle.findLastIndex((child) => child.module === module && child.isUsable);
    const [kept] = index < 0 ? [] : this.#idle.splice(index, 1);
    if (kept !== undefined) return kept;
    if (this.#count() >= this.#limit) this.#endOldest();
    return this.#fork(programFor(task), module);
  }

  giveBack(child: ChildHandle): void {
    child.idle();
    if (!child.isUsable) return;
    this.#idle.push(child);
    if (this.#count() > this.#limit) this.#endOldest();
  }

  /** Ends all children; with `force` kills them, also in the middle of a run. Settles when they are gone. */
  async close(force: boolean): Promise<void> {
    this.#isClosed = true;
    const children = [...this.#children];
    if (force) for (const child of children) child.abandon();
    await Promise.all(children.map((child) => child.end()));
  }

  #fork(program: URL, module: string): ChildHandle {
    const child = new ChildHandle(program, module);
    this.#children.add(child);
    void child.exited.then(() => {
      this.#children.delete(child);
      const index = this.#idle.indexOf(child);
      if (index >= 0) this.#idle.splice(index, 1);
    });
    return child;
  }

  #count(): number {
    return [...this.#children].filter((child) => child.isUsable).length;
  }

  #endOldest(): void {
    void this.#idle.shift()?.end();
  }
}
