/**
 * Runs the jobs of loops. A loop adds one turn below its job, and waits for it like for any other step. Its data hold the
 * number of the turn, so a worker that continues after another one has died adds nothing twice. Old turns are removed.
 */
import { CorruptJobError } from '../base/errors.js';
import { UpstreamFailedError } from '../base/failures.js';
import { type Envelope, withTraceLinks } from '../job/envelope.js';
import { pathOf, testAt, turnAt, turnIn } from '../job/ids.js';
import type { ActiveJob, JobRef } from '../job/job.js';
import { type JobNode, jobIdOf, type LoopExpansion, openTree, relocated } from '../job/job-tree.js';
import type { Turns } from '../job/pause.js';
import { removeEndedChildren } from '../store/tree-removal.js';
import { fill } from '../workflow/input.js';
import { type Children, collectInputs, lossOf } from '../workflow/join.js';
import { decideLoop, type EndedTurn } from '../workflow/loop.js';
import { withSendContext } from '../workflow/prepare.js';
import { childrenOfHeldJob } from './callbacks.js';
import { Snooze, WaitForChildren } from './control-flow.js';
import type { ExecutorDependencies } from './dependencies.js';
import { addMembers } from './flow-changes.js';
import { waitFor } from './sleep-jobs.js';
import { linksFor } from './tracing.js';

/** Number of ended turns that stay readable. */
const KEPT_TURNS = 5;

export class LoopRunner {
  readonly #dependencies: ExecutorDependencies;
  readonly #job: ActiveJob;
  readonly #envelope: Envelope;
  readonly #run: string;
  readonly #path: string;
  readonly #loop: LoopExpansion;
  readonly #children: Children;

  constructor(dependencies: ExecutorDependencies, job: ActiveJob, envelope: Envelope) {
    const { run, expand } = envelope;
    if (run === undefined || expand === undefined || !('body' in expand))
      throw new CorruptJobError(job.id, 'a loop without a body');
    this.#dependencies = dependencies;
    this.#job = job;
    this.#envelope = envelope;
    this.#run = run;
    this.#path = pathOf(run, job.id);
    this.#loop = expand;
    this.#children = childrenOfHeldJob(dependencies, job);
  }

  /**
   * Returns the result of the loop.
   * @param firstValue Returns the value that the loop begins with.
   * @throws {WaitForChildren} during a turn, {Snooze} between two turns, {UpstreamFailedError} if a turn failed.
   */
  async run(firstValue: () => Promise<unknown>): Promise<unknown> {
    const { turns, pause } = this.#envelope;
    if (turns === undefined) return this.#begin({ begun: 1, spent: 0 }, await firstValue());
    const { begun } = turns;
    const ended = await this.#resultAt(turnAt(this.#path, begun));
    // The worker that began this turn may have died before it added the turn.
    if (ended === undefined) return this.#addTurn(begun, await this.#valueBefore(begun, firstValue), true);
    const { value } = ended;
    const { clock } = this.#dependencies.runtime;
    const turn = { value, ...(await this.#tested(begun)) };
    const decision = decideLoop(this.#loop, turns, turn, pause, clock.now());
    switch (decision.kind) {
      case 'end':
        return decision.result;
      case 'test':
        return this.#addTest(begun, value);
      case 'begin-wait':
        return waitFor(this.#job, decision.pause, clock.now());
      case 'wait':
        throw new Snooze(decision.ms);
      case 'turn':
        return this.#begin(decision.turns, value);
    }
  }

  /** Stores the number of a turn, and adds the turn. */
  async #begin(turns: Turns, value: unknown): Promise<never> {
    await this.#job.save({ turns });
    this.#job.expectChildren();
    return this.#addTurn(turns.begun, value, false);
  }

  async #addTurn(turn: number, value: unknown, isRepeated: boolean): Promise<never> {
    await this.#add(this.#loop.body, turn, value, isRepeated);
    await this.#removeBefore(turn - KEPT_TURNS);
    throw new WaitForChildren();
  }

  /** Adds the step that decides after a turn. */
  async #addTest(turn: number, value: unknown): Promise<never> {
    const { until } = this.#loop;
    if (!('step' in until))
      throw new RangeError('Bug in Umbel: a loop with a condition needs no step to decide');
    await this.#add(until.step, turn, value, true);
    throw new WaitForChildren();
  }

  async #add(planned: JobNode, turn: number, value: unknown, isRepeated: boolean): Promise<void> {
    const { sealer, runtime } = this.#dependencies;
    const { headers, tags } = this.#envelope;
    const opened = await openTree(sealer, this.#run, planned);
    const node = fill(relocated(opened, turnAt(this.#path, '*'), turnAt(this.#path, turn)), value);
    const links = await linksFor(this.#dependencies, this.#job, this.#envelope);
    const member = withSendContext(withTraceLinks(node, links), {
      now: runtime.clock.now(),
      headers: headers ?? {},
      ...(tags !== undefined && { tags }),
    });
    const parent = { path: this.#path, queue: this.#job.queue };
    const addition = { run: this.#run, parent, members: [member] };
    await addMembers(this.#dependencies, this.#job, addition, { isRepeated, stops: true });
  }

  /** Returns the result of the step that decided after a turn. */
  async #tested(turn: number): Promise<Pick<EndedTurn, 'tested'>> {
    if ('condition' in this.#loop.until) return {};
    // The job may have found that no child is pending, before it added this one.
    const ended = await this.#resultAt(testAt(turnAt(this.#path, turn)), { mayBePending: true });
    return ended === undefined ? {} : { tested: { result: ended.value } };
  }

  async #valueBefore(turn: number, firstValue: () => Promise<unknown>): Promise<unknown> {
    if (turn === 1) return firstValue();
    const path = turnAt(this.#path, turn - 1);
    const before = await this.#resultAt(path);
    if (before === undefined) throw new UpstreamFailedError(lossOf(jobIdOf(this.#run, path)));
    return before.value;
  }

  /** Returns the result of a child; undefined while it has none. @throws {UpstreamFailedError} if it failed or is lost. */
  async #resultAt(
    path: string,
    known: Partial<Children> = {},
  ): Promise<{ readonly value: unknown } | undefined> {
    const job = { id: this.#job.id, run: this.#run };
    const state = await collectInputs(job, { ...this.#children, ...known }, { step: path });
    return state.kind === 'value' ? state : undefined;
  }

  /** Removes the turns before a turn. A turn in which jobs still run is removed by a later turn. */
  async #removeBefore(turn: number): Promise<void> {
    const old: JobRef[] = [];
    for (const id of (await this.#children.results()).keys()) {
      const ended = turnIn(this.#path, pathOf(this.#run, id));
      const queue = this.#job.endedChildren.get(id);
      if (ended !== undefined && ended < turn && queue !== undefined) old.push({ queue, id });
    }
    if (old.length === 0) return;
    await removeEndedChildren(this.#dependencies.store, { queue: this.#job.queue, id: this.#job.id }, old);
  }
}
