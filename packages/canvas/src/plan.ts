/**
 * A normal expression as the tree of jobs that runs it. Pure.
 *
 * A job waits for its children, so a step is the parent of the step before it:
 *
 * ```
 * chain(a, b)            run ◀─ b ◀─ a
 * group([a, b])          run ◀─ a, b
 * chain(group([a, b]), c)        run ◀─ c ◀─ a, b
 * chain(x, group([a, b]), c)     run ◀─ c ◀─ fan-out ◀─ x        the fan-out adds a and b below c
 * group([a, group([b, c])])      run ◀─ a, collect ◀─ b, c
 * ```
 *
 * Ids are paths: the job that gives the value of the expression at path `p` is `p`; earlier steps of a chain there
 * are `p-0`, `p-1` …; the members of a group at `p` are `p.0`, `p.1` ….
 */
import {
  type FlowNode,
  INTERNAL_JOB,
  INTERNAL_OPTIONS,
  INTERNAL_QUEUE,
  type NormalizedOptions,
  type Source,
  type TaskExpression,
} from '@umbel/core/internal';
import type { NormalChain, NormalExpression, NormalGroup } from './normalize.js';

/** The options of a call, its task's included. */
export type OptionsOf = (expression: TaskExpression) => NormalizedOptions & { readonly queue: string };

/** The nodes that a waiting job needs, and what it takes from them. */
interface Feed {
  readonly after: Source;
  readonly children: readonly FlowNode[];
}

/** The job that waits. */
interface Parent {
  readonly path: string;
  readonly queue: string;
}

const RUN: Parent = { path: '', queue: INTERNAL_QUEUE };

/** The root of a run's tree, with the whole expression below it. */
export function planRun(expression: NormalExpression, optionsOf: OptionsOf): FlowNode {
  return new Planner(optionsOf).run(expression);
}

class Planner {
  readonly #optionsOf: OptionsOf;

  constructor(optionsOf: OptionsOf) {
    this.#optionsOf = optionsOf;
  }

  run(expression: NormalExpression): FlowNode {
    return internal(INTERNAL_JOB.run, RUN.path, this.#feed(expression, '0', RUN));
  }

  /** What brings the value of an expression to `parent`. */
  #feed(expression: NormalExpression, path: string, parent: Parent): Feed {
    if (expression.kind === 'group') return this.#feedOfGroup(expression, path);
    if (expression.kind === 'chain' && expression.steps.at(-1)?.kind === 'group') {
      return this.#feedOfSteps(expression.steps, path, parent);
    }
    return { after: { step: path }, children: [this.#node(expression, path)] };
  }

  /** The one job that gives the value of an expression. */
  #node(expression: NormalExpression, path: string): FlowNode {
    if (expression.kind === 'task') return this.#task(expression, path);
    const last = expression.kind === 'chain' ? expression.steps.at(-1) : undefined;
    if (expression.kind === 'chain' && last?.kind === 'task') {
      const { queue } = this.#optionsOf(last);
      return this.#task(last, path, this.#feedOfSteps(expression.steps.slice(0, -1), path, { path, queue }));
    }
    const parent = { path, queue: INTERNAL_QUEUE };
    return internal(INTERNAL_JOB.collect, path, this.#feed(expression, path, parent));
  }

  /** What brings the value of the last of these steps, all of one chain at `path`, to `parent`. */
  #feedOfSteps(steps: NormalChain['steps'], path: string, parent: Parent): Feed {
    const before = steps.slice(0, -1);
    const last = steps[before.length];
    const lastPath = `${path}-${before.length}`;
    if (last === undefined) throw new RangeError('a chain without steps');
    if (last.kind === 'task') {
      const { queue } = this.#optionsOf(last);
      const feed =
        before.length === 0 ? undefined : this.#feedOfSteps(before, path, { path: lastPath, queue });
      return { after: { step: lastPath }, children: [this.#task(last, lastPath, feed)] };
    }
    const group = this.#feedOfGroup(last, lastPath);
    if (before.length === 0) return group;
    // A tree cannot share a child among the members, so they are added once their common step has given its result.
    const fanOut = `${lastPath}-fan`;
    return {
      after: group.after,
      children: [
        {
          ...internal(
            INTERNAL_JOB.fanOut,
            fanOut,
            this.#feedOfSteps(before, path, { path: fanOut, queue: INTERNAL_QUEUE }),
          ),
          expand: { parent, members: group.children },
        },
      ],
    };
  }

  #feedOfGroup({ members, keys }: NormalGroup, path: string): Feed {
    return {
      after: keys === undefined ? { list: path, count: members.length } : { record: path, keys },
      children: members.map((member, index) => this.#node(member, `${path}.${index}`)),
    };
  }

  #task(expression: TaskExpression, path: string, feed?: Feed): FlowNode {
    const { task, input, into, immutable } = expression;
    const { queue, ...options } = this.#optionsOf(expression);
    return {
      path,
      name: task,
      queue,
      ...(Object.keys(options).length > 0 && { options }),
      ...(input !== undefined && { input }),
      ...(into !== undefined && { into }),
      ...(feed !== undefined && {
        after: immutable ? { ignored: true } : feed.after,
        children: feed.children,
      }),
      ...(feed === undefined && !immutable && { open: true }),
    };
  }
}

function internal(name: string, path: string, feed: Feed): FlowNode {
  return { path, name, queue: INTERNAL_QUEUE, options: INTERNAL_OPTIONS, ...feed };
}
