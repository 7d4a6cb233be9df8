import {
  type Callbacks,
  type FlowNode,
  fill,
  INTERNAL_JOB,
  INTERNAL_QUEUE,
  type MembersFeed,
  type Parent,
  type Planning,
  sharedOptions,
  united,
} from '@umbel/core/internal';
import type {
  NormalCallbacks,
  NormalChain,
  NormalExpression,
  NormalMember,
  NormalTask,
} from '../normalize.js';
import { type Feed, internal, internalPlace, one, type PartPlanner, type Place } from './feed.js';
import { firstFanOf, planGroup } from './group.js';
import { planEach, planFallback, planMatch, planWhen } from './late.js';
import { checkKeys } from './refusals.js';

export class Planner implements PartPlanner {
  readonly planning: Planning;
  readonly feeds: MembersFeed[] | undefined;

  constructor(planning: Planning, feeds?: MembersFeed[]) {
    this.planning = planning;
    this.feeds = feeds;
  }

  run(expression: NormalExpression): FlowNode {
    if (expression.kind !== 'linked') {
      const feed = this.feed(expression, { path: '0', parent: internalPlace('') });
      return internal(INTERNAL_JOB.run, '', feed);
    }
    const root = this.run(expression.step);
    const callbacks = united(root.callbacks ?? {}, this.#callbacks(expression.callbacks));
    return { ...root, ...(callbacks !== undefined && { callbacks }) };
  }

  callback(expression: NormalExpression): FlowNode {
    return expression.kind === 'task' ? this.#task(expression, '') : this.#apart().run(expression);
  }

  /** The one job that gives the value of an expression. */
  node(expression: NormalMember, path: string): FlowNode {
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

  later(expression: NormalMember, path: string): FlowNode {
    return this.#apart().node(expression, path);
  }

  feed(expression: NormalExpression, place: Place): Feed {
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
  #inside(step: NormalExpression, { path, incoming }: Place): Feed {
    return this.feed(step, { path: `${path}^`, parent: internalPlace(path), incoming });
  }

  /** Each step is planned before the next one takes it: one that plans those before it would stand as deep as they are many. */
  #chain({ steps }: NormalChain, { path, parent, incoming }: Place): Feed {
    const pathAt = (index: number) => (index < steps.length - 1 ? `${path}-${index}` : path);
    let before = incoming;
    let feed: Feed | undefined;
    for (const [index, step] of steps.entries()) {
      const next = steps[index + 1];
      const taker = next === undefined ? parent : this.#takerOf(next, pathAt(index + 1));
      const ready = this.feed(step, { path: pathAt(index), parent: taker, incoming: before });
      before = ({ path: asked }) => {
        if (asked !== taker.path) throw new RangeError(`${asked} takes what was planned for ${taker.path}`);
        return ready;
      };
      feed = ready;
    }
    if (feed === undefined) throw new RangeError('a chain without steps');
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
          return internalPlace(firstFanOf(inner, at));
        case 'each':
        case 'match':
          return internalPlace(`${at}-fan`);
        case 'when':
          return internalPlace('condition' in inner.test ? `${at}-fan` : `${at}-in`);
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

  #task(expression: NormalTask, path: string, feed?: Feed): FlowNode {
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
