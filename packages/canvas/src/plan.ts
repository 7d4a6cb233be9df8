/**
 * This module plans a normalized workflow as the tree of jobs that runs it. `submit` sends the tree. Planning is pure.
 *
 * A job waits for its children, so a step is the parent of the step before it:
 *
 * ```
 * chain(a, b)                    run ◀─ b ◀─ a
 * group([a, b])                  run ◀─ a, b
 * chain(group([a, b]), c)        run ◀─ c ◀─ a, b
 * chain(x, group([a, b]), c)     run ◀─ c ◀─ fan-out ◀─ x        the fan-out adds a and b below c
 * group([a, group([b, c])])      run ◀─ a, collect ◀─ b, c
 * group.any([a, b])              run ◀─ collect ◀─ probe ◀─ a, probe ◀─ b
 * chain(a, sleep('1d'), b)       run ◀─ b ◀─ sleep ◀─ a
 * chain(a, loop(b, …), c)        run ◀─ c ◀─ loop ◀─ a         each turn of b is added below the loop
 * fallback(a, b)                 run ◀─ fallback ◀─ a             b is added below the fallback if a fails
 * chain(a, waitFor(s, …), b)     run ◀─ b ◀─ wait ◀─ a            the wait is delayed until the signal or the timeout
 * ```
 *
 * Ids are paths, see `core/src/job/ids.ts`.
 */
import {
  type Callbacks,
  fill,
  INTERNAL_JOB,
  INTERNAL_QUEUE,
  type JobNode,
  type MemberStream,
  mergeCallbacks,
  mergeOptions,
  type Parent,
  type Planning,
  sharedOptions,
} from '@umbel/core/internal';
import type {
  LabelOptions,
  NormalCallbacks,
  NormalChain,
  NormalExpression,
  NormalMember,
  NormalTask,
} from './normalize.js';
import {
  checkKeys,
  firstFanOf,
  internal,
  internalPosition,
  one,
  type PartPlanner,
  type PlannedInput,
  type PlanPosition,
  planEach,
  planFallback,
  planGroup,
  planMatch,
  planWait,
  planWhen,
} from './plan-group.js';
import { planLoop, planSleep } from './plan-waits.js';
import { runNameOf } from './run-name.js';

/** A workflow that is ready to be sent. */
export interface PlannedRun {
  readonly root: JobNode;
  /** Members of large groups, which are added slice by slice after the root is stored. */
  readonly streams: readonly MemberStream[];
}

/**
 * Plans a run: its root job with the whole workflow below it. `labels`: the headers and tags of the run itself. `name`:
 * that of the run, if it is not to be named by its tasks.
 */
export function planRun(
  expression: NormalExpression,
  planning: Planning,
  labels: LabelOptions = {},
  name?: string,
): PlannedRun {
  const streams: MemberStream[] = [];
  const root = withLabels(new Planner(planning, streams).run(expression, name), labels);
  return { root, streams };
}

/**
 * Plans the one job at `path` that returns the value of the expression.
 * @throws {CanvasError} if the expression has lazy members, which only a new run can send.
 */
export function planNode(expression: NormalExpression, path: string, planning: Planning): JobNode {
  return new Planner(planning).node(expression, path);
}

/** Plans a callback: a call as a single job, a workflow as a run. @throws as `planNode`. */
export function planCallback(
  expression: NormalExpression,
  planning: Planning,
  labels: LabelOptions = {},
  name?: string,
): JobNode {
  const root = new Planner(planning).callback(expression, name);
  return expression.kind === 'task' ? root : withLabels(root, labels); // a task has them among its options
}

function withLabels(root: JobNode, labels: LabelOptions): JobNode {
  return Object.keys(labels).length === 0 ? root : { ...root, options: mergeOptions(root.options, labels) };
}

class Planner implements PartPlanner {
  readonly planning: Planning;
  readonly streams: MemberStream[] | undefined;

  constructor(planning: Planning, streams?: MemberStream[]) {
    this.planning = planning;
    this.streams = streams;
  }

  run(expression: NormalExpression, name = runNameOf(expression)): JobNode {
    if (expression.kind !== 'linked') {
      const input = this.plan(expression, { path: '0', parent: internalPosition('') });
      return { ...internal(INTERNAL_JOB.run, '', input), content: { label: name } };
    }
    const root = this.run(expression.step, name);
    const callbacks = mergeCallbacks(root.callbacks ?? {}, this.#callbacks(expression.callbacks));
    return { ...root, ...(callbacks !== undefined && { callbacks }) };
  }

  callback(expression: NormalExpression, name?: string): JobNode {
    return expression.kind === 'task'
      ? this.#task(expression, '')
      : this.#withoutStreams().run(expression, name);
  }

  /** Plans the one job that returns the value of an expression. */
  node(expression: NormalMember, path: string): JobNode {
    if (expression.kind === 'given') return fill(this.node(expression.step, path), expression.input);
    if (expression.kind === 'chunk') {
      const { open: _open, ...task } = this.#task(expression.task, path);
      return { ...task, items: expression.items, offset: expression.offset };
    }
    const input = this.plan(expression, { path, parent: { path, queue: this.#queueOf(expression) } });
    const [only] = input.children;
    const isOne = input.children.length === 1 && only?.path === path;
    return isOne && only !== undefined ? only : internal(INTERNAL_JOB.collect, path, input);
  }

  later(expression: NormalMember, path: string): JobNode {
    return this.#withoutStreams().node(expression, path);
  }

  plan(expression: NormalExpression, position: PlanPosition): PlannedInput {
    // A `switch`, which the compiler checks too: with ts-pattern a chain of 2,000 groups takes twice as long to plan.
    switch (expression.kind) {
      case 'task':
        return this.#step(expression, position);
      case 'group':
        return planGroup(this, expression, position);
      case 'chain':
        return this.#chain(expression, position);
      case 'each':
        return planEach(this, expression, position);
      case 'match':
        return planMatch(this, expression, position);
      case 'when':
        return planWhen(this, expression, position);
      case 'fallback':
        return planFallback(this, expression, position);
      case 'flat': {
        const input = this.#inside(expression.step, position);
        const after = { ...input.after, flat: true } as const;
        return one(internal(INTERNAL_JOB.collect, position.path, { ...input, after }));
      }
      case 'sleep':
        return planSleep(expression, position);
      case 'loop':
        return planLoop(this, expression, position);
      case 'waitFor':
        return planWait(expression, position);
      case 'linked': {
        const node = internal(INTERNAL_JOB.collect, position.path, this.#inside(expression.step, position));
        return one({ ...node, callbacks: this.#callbacks(expression.callbacks) });
      }
    }
  }

  /** Plans a step that an internal job at the position of the expression wraps. */
  #inside(step: NormalExpression, { path, incoming }: PlanPosition): PlannedInput {
    return this.plan(step, { path: `${path}^`, parent: internalPosition(path), incoming });
  }

  /** Plans the steps in a loop. Recursion would need a stack as deep as the chain is long. */
  #chain({ steps }: NormalChain, { path, parent, incoming }: PlanPosition): PlannedInput {
    const pathAt = (index: number) => (index < steps.length - 1 ? `${path}-${index}` : path);
    let before = incoming;
    let input: PlannedInput | undefined;
    for (const [index, step] of steps.entries()) {
      const next = steps[index + 1];
      const consumer = next === undefined ? parent : this.#consumerIn(next, pathAt(index + 1));
      const planned = this.plan(step, { path: pathAt(index), parent: consumer, incoming: before });
      before = ({ path: actual }) => {
        if (actual !== consumer.path)
          throw new RangeError(`Bug in Umbel: ${actual} takes the input of ${consumer.path}.`);
        return planned;
      };
      input = planned;
    }
    if (input === undefined) throw new RangeError('Bug in Umbel: a chain has no steps.');
    return input;
  }

  /**
   * Returns the job of an expression that takes the previous result: the one that the construct passes to `incoming`.
   * A loop, because the first step of a chain may be any expression.
   */
  #consumerIn(expression: NormalExpression, path: string): Parent {
    let [part, at] = [expression, path];
    while (part.kind !== 'task') {
      const next = consumerOf(part, at);
      if (!('part' in next)) return next;
      [part, at] = [next.part, next.path];
    }
    return this.#positionOf(part, at);
  }

  #step(expression: NormalTask, { path, incoming }: PlanPosition): PlannedInput {
    return one(this.#task(expression, path, incoming?.(this.#positionOf(expression, path))));
  }

  #task(expression: NormalTask, path: string, previous?: PlannedInput): JobNode {
    const { task, input, into, immutable } = expression;
    if (into !== undefined) checkKeys([into]);
    const all = this.planning.optionsOf(expression);
    const { queue, ...options } = all;
    const shared = expression.shared && sharedOptions(expression.shared, all);
    return {
      path,
      name: task,
      queue,
      ...(Object.keys(options).length > 0 && { options }),
      ...(shared !== undefined && { content: { shared } }),
      ...(input !== undefined && { input }),
      ...(into !== undefined && { into }),
      ...(previous !== undefined && {
        after: immutable ? { ...previous.after, ignored: true } : previous.after,
        children: previous.children,
      }),
      ...(previous === undefined && !immutable && { open: true }),
    };
  }

  #callbacks(callbacks: NormalCallbacks): Callbacks {
    const entries = Object.entries(callbacks).map(([kind, expressions]) => [
      kind,
      expressions.map((expression) => this.callback(expression)),
    ]);
    return Object.fromEntries(entries);
  }

  #positionOf(task: NormalTask, path: string): Parent {
    return { path, queue: this.planning.optionsOf(task).queue };
  }

  /** Returns the queue of the job that returns the value of an expression. */
  #queueOf(expression: NormalExpression): string {
    return expression.kind === 'task' ? this.planning.optionsOf(expression).queue : INTERNAL_QUEUE;
  }

  /** Returns a planner for jobs that a worker adds later: it refuses lazy members, which only the sender can add. */
  #withoutStreams(): Planner {
    return this.streams === undefined ? this : new Planner(this.planning);
  }
}

/** Returns the job that takes the previous result, or the part that contains it. A `switch`, as in `Planner.plan`. */
function consumerOf(
  expression: Exclude<NormalExpression, NormalTask>,
  path: string,
): Parent | { readonly part: NormalExpression; readonly path: string } {
  switch (expression.kind) {
    case 'group':
      return internalPosition(firstFanOf(expression, path));
    case 'sleep':
    case 'loop':
    case 'waitFor':
      return internalPosition(path);
    case 'each':
    case 'match':
      return internalPosition(`${path}-fan`);
    case 'when':
      return internalPosition('condition' in expression.test ? `${path}-fan` : `${path}-in`);
    case 'chain': {
      const [first] = expression.steps;
      return { part: first as NormalExpression, path: expression.steps.length > 1 ? `${path}-0` : path }; // it has a step
    }
    case 'fallback':
    case 'flat':
    case 'linked':
      return { part: expression.step, path: `${path}^` };
  }
}
