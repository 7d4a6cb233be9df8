/**
 * A normal expression as the tree of jobs that runs it. Pure.
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
 * fallback(a, b)                 run ◀─ fallback ◀─ a             b is added below the fallback if a fails
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
  planWhen,
} from './plan-group.js';

export class Planner implements PartPlanner {
  readonly planning: Planning;
  readonly feeds: MemberStream[] | undefined;

  constructor(planning: Planning, feeds?: MemberStream[]) {
    this.planning = planning;
    this.feeds = feeds;
  }

  run(expression: NormalExpression): JobNode {
    if (expression.kind !== 'linked') {
      const feed = this.feed(expression, { path: '0', parent: internalPosition('') });
      return internal(INTERNAL_JOB.run, '', feed);
    }
    const root = this.run(expression.step);
    const callbacks = mergeCallbacks(root.callbacks ?? {}, this.#callbacks(expression.callbacks));
    return { ...root, ...(callbacks !== undefined && { callbacks }) };
  }

  callback(expression: NormalExpression): JobNode {
    return expression.kind === 'task' ? this.#task(expression, '') : this.#apart().run(expression);
  }

  /** The one job that gives the value of an expression. */
  node(expression: NormalMember, path: string): JobNode {
    if (expression.kind === 'given') return fill(this.node(expression.step, path), expression.input);
    if (expression.kind === 'chunk') {
      const { open: _open, ...task } = this.#task(expression.task, path);
      return { ...task, items: expression.items, offset: expression.offset };
    }
    const feed = this.feed(expression, { path, parent: { path, queue: this.#queueOf(expression) } });
    const [only] = feed.children;
    const isOne = feed.children.length === 1 && only?.path === path;
    return isOne && only !== undefined ? only : internal(INTERNAL_JOB.collect, path, feed);
  }

  later(expression: NormalMember, path: string): JobNode {
    return this.#apart().node(expression, path);
  }

  feed(expression: NormalExpression, place: PlanPosition): PlannedInput {
    const { path, incoming } = place;
    switch (expression.kind) {
      case 'task': {
        return one(this.#task(expression, path, incoming?.(this.#placeOf(expression, path))));
      }
      case 'chain':
        return this.#chain(expression, place);
      case 'group':
        return planGroup(this, expression, place);
      case 'each':
        return planEach(this, expression, place);
      case 'match':
        return planMatch(this, expression, place);
      case 'when':
        return planWhen(this, expression, place);
      case 'fallback':
        return planFallback(this, expression, place);
      case 'flat': {
        const feed = this.#inside(expression.step, place);
        const flat = { ...feed.after, flat: true } as const;
        return one(internal(INTERNAL_JOB.collect, path, { ...feed, after: flat }));
      }
      case 'linked': {
        const feed = this.#inside(expression.step, place);
        const callbacks = this.#callbacks(expression.callbacks);
        return one({ ...internal(INTERNAL_JOB.collect, path, feed), callbacks });
      }
    }
  }

  /** What brings the value of a step to an internal job in its place. */
  #inside(step: NormalExpression, { path, incoming }: PlanPosition): PlannedInput {
    return this.feed(step, { path: `${path}^`, parent: internalPosition(path), incoming });
  }

  /** Each step is planned before the next one takes it: one that plans those before it would stand as deep as they are many. */
  #chain({ steps }: NormalChain, { path, parent, incoming }: PlanPosition): PlannedInput {
    const pathAt = (index: number) => (index < steps.length - 1 ? `${path}-${index}` : path);
    let before = incoming;
    let feed: PlannedInput | undefined;
    for (const [index, step] of steps.entries()) {
      const next = steps[index + 1];
      const taker = next === undefined ? parent : this.#takerOf(next, pathAt(index + 1));
      const ready = this.feed(step, { path: pathAt(index), parent: taker, incoming: before });
      before = ({ path: asked }) => {
        if (asked !== taker.path)
          throw new RangeError(`Bug in Umbel: ${asked} takes the input of ${taker.path}.`);
        return ready;
      };
      feed = ready;
    }
    if (feed === undefined) throw new RangeError('Bug in Umbel: a chain has no steps.');
    return feed;
  }

  /** The job that takes what comes before an expression, see what each construct gives to `incoming`. */
  #takerOf(expression: NormalExpression, path: string): Parent {
    let [inner, at] = [expression, path];
    for (;;) {
      switch (inner.kind) {
        case 'task':
          return this.#placeOf(inner, at);
        case 'group':
          return internalPosition(firstFanOf(inner, at));
        case 'each':
        case 'match':
          return internalPosition(`${at}-fan`);
        case 'when':
          return internalPosition('condition' in inner.test ? `${at}-fan` : `${at}-in`);
        case 'chain':
          [inner, at] = [inner.steps[0] as NormalExpression, inner.steps.length > 1 ? `${at}-0` : at]; // it has some
          break;
        case 'fallback':
        case 'flat':
        case 'linked':
          [inner, at] = [inner.step, `${at}^`];
      }
    }
  }

  #task(expression: NormalTask, path: string, feed?: PlannedInput): JobNode {
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
      ...(feed !== undefined && {
        after: immutable ? { ...feed.after, ignored: true } : feed.after,
        children: feed.children,
      }),
      ...(feed === undefined && !immutable && { open: true }),
    };
  }

  #callbacks(callbacks: NormalCallbacks): Callbacks {
    const entries = Object.entries(callbacks).map(([kind, expressions]) => [
      kind,
      expressions.map((expression) => this.callback(expression)),
    ]);
    return Object.fromEntries(entries);
  }

  #placeOf(task: NormalTask, path: string): Parent {
    return { path, queue: this.planning.optionsOf(task).queue };
  }

  /** The queue of the job that gives the value of an expression. */
  #queueOf(expression: NormalExpression): string {
    return expression.kind === 'task' ? this.planning.optionsOf(expression).queue : INTERNAL_QUEUE;
  }

  /** The planner of what is no part of what is sent first. */
  #apart(): Planner {
    return this.feeds === undefined ? this : new Planner(this.planning);
  }
}

/** What a run is sent as. */
export interface PlannedRun {
  readonly root: JobNode;
  /** Members of large groups, which are added one slice after the other. */
  readonly feeds: readonly MemberStream[];
}

/** The root of a run's tree, with the whole expression below it. `labels`: those of the composition, which it bears too. */
export function planRun(
  expression: NormalExpression,
  planning: Planning,
  labels: LabelOptions = {},
): PlannedRun {
  const feeds: MemberStream[] = [];
  const root = labelled(new Planner(planning, feeds).run(expression), labels);
  return { root, feeds };
}

/**
 * The one job at `path` that gives the value of the expression.
 * @throws {CanvasError} if members are to be read while they are sent: nobody would.
 */
export function planNode(expression: NormalExpression, path: string, planning: Planning): JobNode {
  return new Planner(planning).node(expression, path);
}

/** What is sent by itself: a single call as the job it is, everything else as a run. @throws as `planNode`. */
export function planCallback(
  expression: NormalExpression,
  planning: Planning,
  labels: LabelOptions = {},
): JobNode {
  const root = new Planner(planning).callback(expression);
  return expression.kind === 'task' ? root : labelled(root, labels); // a task has them among its options
}

function labelled(root: JobNode, labels: LabelOptions): JobNode {
  return Object.keys(labels).length === 0 ? root : { ...root, options: mergeOptions(root.options, labels) };
}
