/** How a handler changes the run that its job belongs to, while it runs. */
import { InvalidOptionError, JobStateError } from '../errors.js';
import { fill } from '../flow/input.js';
import { linked, type TraceLinks } from '../flow/links.js';
import { type FlowNode, INTERNAL_QUEUE, jobIdOf, type Parent } from '../flow/node.js';
import { memberOf, pathOf } from '../flow/path.js';
import { prepared } from '../flow/prepare.js';
import { workflowOptions } from '../flow/shared.js';
import { tagsOf } from '../flow/tags.js';
import type { Surroundings } from '../tasks/canvas.js';
import { PLAN, type Plannable } from '../tasks/signature.js';
import type { Envelope } from '../wire/envelope.js';
import type { ActiveJob } from './job.js';
import { addMembers } from './members.js';
import type { ExecutorParts } from './parts.js';
import { ReplaceRequest, StopRequest } from './signals.js';

/** What a context does with what its handler asks for. */
export interface FlowChanges {
  stop(value: unknown): never;
  replace(signature: unknown, input: unknown): never;
  addToGroup(signature: unknown, input: unknown): Promise<void>;
}

/** Where a handler runs apart from the worker, or without one. */
export const NO_CHANGES: FlowChanges = {
  stop: () => refuse('stop'),
  replace: () => refuse('replace'),
  addToGroup: async () => refuse('addToGroup'),
};

function refuse(name: string): never {
  throw new JobStateError(
    `ctx.${name} is not to be had in an isolated task: its handler runs in a process of its own.`,
  );
}

export class JobFlowChanges implements FlowChanges {
  readonly #parts: ExecutorParts;
  readonly #job: ActiveJob;
  readonly #envelope: Envelope;
  readonly #links: TraceLinks | undefined;
  #added = 0;

  /** @param trace The span of the attempt, which what it adds is linked to. */
  constructor(parts: ExecutorParts, job: ActiveJob, envelope: Envelope, trace: string | undefined) {
    this.#parts = parts;
    this.#job = job;
    this.#envelope = envelope;
    this.#links = trace === undefined ? undefined : { traces: [trace], count: 1 };
  }

  stop(value: unknown): never {
    throw new StopRequest(value);
  }

  replace(signature: unknown, input: unknown): never {
    throw new ReplaceRequest(plannable('replace', signature), input);
  }

  async addToGroup(signature: unknown, input: unknown): Promise<void> {
    const { id, queue } = this.#job;
    const { run } = this.#envelope;
    if (this.#job.signal.aborted) {
      throw new JobStateError(
        `Attempt ${this.#job.attempt} of job ${id} is over: it cannot add to its group any more.`,
      );
    }
    const own = run === undefined ? '' : pathOf(run, id);
    const place = memberOf(own);
    if (run === undefined || place === undefined) {
      throw new JobStateError(`Job ${id} is not in a group, so ctx.addToGroup has nowhere to add to.`);
    }
    const turn = this.#added;
    this.#added += 1;
    const path = `${place.member}+${own.slice(place.member.length)}+${turn}`;
    const member = plannable('addToGroup', signature)[PLAN](path, this.#surroundings());
    const { parent, mayFail } = await this.#joinOf({ path: own, queue }, run, place.group);
    const ready = await this.#prepared(member, input);
    const members = [{ ...ready, ...(mayFail && { mayFail }) }];
    await addMembers(this.#parts, this.#job, { run, parent, members });
  }

  /** What takes the job's place, below it. */
  async replacement({ signature, input }: ReplaceRequest): Promise<FlowNode> {
    const run = this.#envelope.run ?? this.#job.id;
    const path = `${pathOf(run, this.#job.id)}~`;
    return this.#prepared(signature[PLAN](path, this.#surroundings()), input);
  }

  /** The workflow of the job, whose options hold for what its handler adds. */
  #surroundings(): Surroundings {
    const { headers, shared, timeout, label, expires } = this.#envelope;
    const { queue, priority, retry } = this.#job;
    const options = workflowOptions(shared, {
      queue,
      ...(priority !== undefined && { priority }),
      ...(retry !== undefined && { retry }),
      ...(timeout !== undefined && { timeoutMs: timeout }),
      ...(label !== undefined && { displayName: label }),
      ...(expires !== undefined && { expiresAt: expires }),
    });
    return { options, headers };
  }

  /** The node, checked, as it is added; found by its tags together with what it is added to. */
  async #prepared(node: FlowNode, input: unknown): Promise<FlowNode> {
    const { headers = {}, tags, root, run } = this.#envelope;
    const { id, queue } = this.#job;
    const now = this.#parts.runtime.clock.now();
    const filled = fill(node, input);
    await this.#parts.checks.checkTree(filled);
    const ready = prepared(linked(filled, this.#links), {
      now,
      headers,
      ...(tags !== undefined && { tags }),
      content: { parent: id, root: root ?? run ?? id },
    });
    const place = run === undefined ? { queue, id } : { queue: INTERNAL_QUEUE, id: run };
    await this.#parts.tags.add(tagsOf(ready), place, now);
    return ready;
  }

  /** The job that waits for the members of a group, or for some of them, above a member. */
  async #joinOf(from: Parent, run: string, group: string): Promise<{ parent: Parent; mayFail?: true }> {
    const { store } = this.#parts;
    for (let current = from; ; ) {
      const parent = await store.parentOf(current.queue, jobIdOf(run, current.path));
      if (parent === undefined)
        throw new JobStateError(`The group of job ${this.#job.id} is gone from the store.`);
      const path = pathOf(run, parent.id);
      if (!path.startsWith(`${group}.`)) {
        const { after, join } = (await store.job(parent.queue, parent.id))?.envelope ?? {};
        if (join?.need !== undefined || (after !== undefined && 'record' in after)) {
          throw new JobStateError(
            `Job ${this.#job.id} is in a ${join?.need === undefined ? 'record of members' : 'group that needs only some members'}, which takes no more.`,
          );
        }
        const isSettled = after !== undefined && 'list' in after && after.settled;
        return { parent: { path, queue: parent.queue }, ...(isSettled && { mayFail: true }) };
      }
      current = { path, queue: parent.queue };
    }
  }
}

function plannable(option: string, signature: unknown): Plannable {
  if (typeof signature === 'object' && signature !== null && PLAN in signature) return signature as Plannable; // only signatures have it
  throw new InvalidOptionError(option, 'a task, a signature or a composition', signature);
}
