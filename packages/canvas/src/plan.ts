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
 * Ids are paths, see `core/src/flow/path.ts`.
 */
import {
  type Callbacks,
  type Expansion,
  FEED_OPTIONS,
  type FlowNode,
  fill,
  INTERNAL_JOB,
  INTERNAL_OPTIONS,
  INTERNAL_QUEUE,
  type JoinRule,
  type MembersFeed,
  type Parent,
  type Planning,
  SLICE,
  type Source,
  united,
} from '@umbel/core/internal';
import { CanvasError } from './errors.js';
import type {
  NormalCallbacks,
  NormalChain,
  NormalEach,
  NormalExpression,
  NormalFallback,
  NormalGroup,
  NormalMember,
  NormalTask,
  NormalWhen,
} from './normalize.js';

/** What a run is sent as. */
export interface PlannedRun {
  readonly root: FlowNode;
  /** Members of large groups, which are added one slice after the other. */
  readonly feeds: readonly MembersFeed[];
}

/** The jobs that a waiting job needs, and what it takes from them. */
interface Feed {
  readonly after: Source;
  readonly children: readonly FlowNode[];
}

/** What brings the result of the previous step to a job. */
type Incoming = (parent: Parent) => Feed;

/** Members that are added together with the run, in one transaction. */
const DIRECT = 100;
/** More members than this are sent once the run is stored; as many as this, in parts that are stored with it. */
const FED = 5000;

const RUN: Parent = { path: '', queue: INTERNAL_QUEUE };

/** The root of a run's tree, with the whole expression below it. */
export function planRun(expression: NormalExpression, planning: Planning): PlannedRun {
  const feeds: MembersFeed[] = [];
  const root = new Planner(planning, feeds).run(expression);
  return { root, feeds };
}

/**
 * The one job at `path` that gives the value of the expression.
 * @throws {CanvasError} if members are to be read while they are sent: nobody would.
 */
export function planNode(expression: NormalExpression, path: string, planning: Planning): FlowNode {
  return new Planner(planning).node(expression, path);
}

/** What is sent by itself: a single call as the job it is, everything else as a run. @throws as `planNode`. */
export function planCallback(expression: NormalExpression, planning: Planning): FlowNode {
  return new Planner(planning).callback(expression);
}

class Planner {
  readonly #planning: Planning;
  /** Absent: nobody adds members later. */
  readonly #feeds: MembersFeed[] | undefined;

  constructor(planning: Planning, feeds?: MembersFeed[]) {
    this.#planning = planning;
    this.#feeds = feeds;
  }

  run(expression: NormalExpression): FlowNode {
    if (expression.kind !== 'linked') return internal(INTERNAL_JOB.run, '', this.#feed(expression, '0', RUN));
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
    const feed = this.#feed(expression, path, { path, queue: this.#queueOf(expression) });
    const [only] = feed.children;
    const isOne = feed.children.length === 1 && only?.path === path;
    return isOne && only !== undefined ? only : internal(INTERNAL_JOB.collect, path, feed);
  }

  /** The queue of the job that gives the value of an expression. */
  #queueOf(expression: NormalExpression): string {
    return expression.kind === 'task' ? this.#planning.optionsOf(expression).queue : INTERNAL_QUEUE;
  }

  /** What brings the value of an expression to `parent`. */
  #feed(expression: NormalExpression, path: string, parent: Parent, incoming?: Incoming): Feed {
    switch (expression.kind) {
      case 'task': {
        const { queue } = this.#planning.optionsOf(expression);
        return one(this.#task(expression, path, incoming?.({ path, queue })));
      }
      case 'chain':
        return this.#chain(expression, path, parent, incoming);
      case 'group':
        return this.#group(expression, path, parent, incoming);
      case 'each':
        return this.#each(expression, path, parent, incoming);
      case 'match': {
        const cases = Object.entries(expression.cases).map(([name, step]) => [
          name,
          this.#later(step, `${path}^`),
        ]);
        const { key } = expression;
        return this.#branch({ parent, key, cases: Object.fromEntries(cases) }, path, incoming);
      }
      case 'when':
        return this.#when(expression, path, parent, incoming);
      case 'fallback':
        return this.#fallback(expression, path, incoming);
      case 'flat': {
        const feed = this.#feed(expression.step, `${path}^`, { path, queue: INTERNAL_QUEUE }, incoming);
        const flat = { ...feed.after, flat: true } as const;
        return one(internal(INTERNAL_JOB.collect, path, { ...feed, after: flat }));
      }
      case 'linked': {
        const feed = this.#feed(expression.step, `${path}^`, { path, queue: INTERNAL_QUEUE }, incoming);
        const callbacks = this.#callbacks(expression.callbacks);
        return one({ ...internal(INTERNAL_JOB.collect, path, feed), callbacks });
      }
    }
  }

  #chain({ steps }: NormalChain, path: string, parent: Parent, incoming?: Incoming): Feed {
    let before = incoming;
    for (const [index, step] of steps.slice(0, -1).entries()) {
      const earlier = before;
      before = (next) => this.#feed(step, `${path}-${index}`, next, earlier);
    }
    const last = steps.at(-1);
    if (last === undefined) throw new RangeError('a chain without steps');
    return this.#feed(last, path, parent, before);
  }

  #group(group: NormalGroup, path: string, parent: Parent, incoming?: Incoming): Feed {
    const { policy, cancelSiblings } = group;
    const need = policy?.kind === 'any' ? 1 : policy?.kind === 'atLeast' ? policy.count : undefined;
    if (need === undefined && !cancelSiblings) return this.#members(group, path, parent, incoming);
    const feed = this.#members(group, path, { path, queue: INTERNAL_QUEUE }, incoming);
    const join: JoinRule = {
      ...(need !== undefined && { need }),
      ...(policy?.kind === 'any' && { single: true }),
      ...(cancelSiblings && { cancel: true }),
    };
    return one({ ...internal(INTERNAL_JOB.collect, path, feed), join });
  }

  #members(group: NormalGroup, path: string, parent: Parent, incoming?: Incoming): Feed {
    const { members, keys, policy } = group;
    checkKeys(keys);
    const isSettled = policy?.kind === 'settled';
    const isProbed = policy !== undefined && !isSettled;
    const own = {
      ...(isSettled && { settled: true as const }),
      ...(group.flat && { chunked: true as const }),
    };
    const source = (known: { count?: number; sliced?: true; via?: string }): Source =>
      keys === undefined
        ? { list: path, ...known, ...own }
        : {
            record: path,
            keys,
            ...(known.sliced && { sliced: true }),
            ...(known.via && { via: known.via }),
            ...own,
          };
    const nodeOf = (member: NormalMember, index: number): FlowNode => {
      const node = this.#later(member, `${path}.${index}`);
      return isProbed ? probe(node) : isSettled ? { ...node, mayFail: true } : node;
    };
    if ('read' in members) {
      if (incoming !== undefined) throw notLazy('stands after another step');
      return this.#fed(source, path, parent, isProbed, { members: () => eachOf(members.read(), nodeOf) });
    }
    const count = members.length;
    const { maxMembers } = this.#planning;
    if (count > maxMembers) throw tooMany(count, maxMembers);
    if (count <= DIRECT && incoming === undefined) {
      return { after: source({ count }), children: members.map(nodeOf) };
    }
    if (count > FED && incoming === undefined && this.#feeds !== undefined) {
      return this.#fed(source, path, parent, isProbed, {
        members: () => eachOf(members, nodeOf),
        listed: () => members.map(nodeOf),
      });
    }
    const isLarge = count > DIRECT && !isProbed;
    const nodes = members.map(nodeOf);
    const isOpen = nodes.some(takesInput);
    // A tree cannot share a child among the members, so they are added once their common step has given its result.
    let before = incoming;
    const via = `${path}-fan`;
    for (let first = 0; first < Math.max(count, 1); first += SLICE) {
      const isLast = first + SLICE >= count;
      const earlier = before;
      const own = isLast ? via : `${via}${first / SLICE}`;
      const expansion: Expansion = {
        parent,
        members: nodes.slice(first, first + SLICE),
        ...(isLarge && { slice: { list: path, first } }),
        ...(!isLast && { passes: true }),
      };
      const { open: _open, ...closed } = this.#fanOut(own, expansion, earlier);
      const fan =
        isOpen && first === 0 && earlier === undefined ? { ...closed, open: true as const } : closed;
      before = () => ({ after: { step: own, via: own }, children: [fan] });
    }
    const feed = before?.(parent);
    if (feed === undefined) throw new RangeError('a fan-out without members');
    return { after: source({ count, via, ...(isLarge && { sliced: true }) }), children: feed.children };
  }

  /** Members that the sender adds once the run is stored. */
  #fed(
    source: (known: { via: string }) => Source,
    path: string,
    parent: Parent,
    isProbed: boolean,
    members: Pick<MembersFeed, 'members' | 'listed'>,
  ): Feed {
    if (this.#feeds === undefined) throw notLazy('is no part of what is sent first');
    const feed = `${path}-feed`;
    this.#feeds.push({ feed, list: path, parent, ...members, ...(isProbed && { unsliced: true }) });
    return {
      after: source({ via: feed }),
      children: [{ path: feed, name: INTERNAL_JOB.feed, queue: INTERNAL_QUEUE, options: FEED_OPTIONS }],
    };
  }

  #each({ step, keys, chunkSize }: NormalEach, path: string, parent: Parent, incoming?: Incoming): Feed {
    checkKeys(keys);
    const fan = `${path}-fan`;
    const expansion: Expansion = {
      parent,
      each: this.#later(step, `${path}.*`),
      list: path,
      ...(keys !== undefined && { keys }),
      ...(chunkSize !== undefined && { chunkSize }),
    };
    return {
      after: { list: path, via: fan, ...(chunkSize !== undefined && { chunked: true }) },
      children: [this.#fanOut(fan, expansion, incoming)],
    };
  }

  #when({ test, onTrue, onFalse }: NormalWhen, path: string, parent: Parent, incoming?: Incoming): Feed {
    const branches = {
      onTrue: this.#later(onTrue, `${path}^`),
      ...(onFalse !== undefined && { onFalse: this.#later(onFalse, `${path}^`) }),
    };
    if ('condition' in test) {
      return this.#branch({ parent, condition: test.condition, ...branches }, path, incoming);
    }
    // The step that decides and the one that is chosen both need the value: a first fan-out hands it to both.
    const [decides, value, step] = [`${path}-fan`, `${path}-in`, `${path}^t`];
    const first = this.#fanOut(
      value,
      {
        parent: { path: decides, queue: INTERNAL_QUEUE },
        members: [this.#later(test.step, step)],
        passes: true,
      },
      incoming,
    );
    const after = () => ({ after: { step: value, via: value }, children: [first] });
    return this.#branch({ parent, tested: { step, value }, ...branches }, path, after);
  }

  /** A fan-out that adds one step, or gives its own value on. */
  #branch(expansion: Expansion, path: string, incoming?: Incoming): Feed {
    if ('cases' in expansion) checkKeys(Object.keys(expansion.cases));
    if ('condition' in expansion) checkKeys(Object.keys(expansion.condition ?? {}));
    const fan = `${path}-fan`;
    return { after: { step: `${path}^`, via: fan }, children: [this.#fanOut(fan, expansion, incoming)] };
  }

  #fallback({ step, other }: NormalFallback, path: string, incoming?: Incoming): Feed {
    const parent = { path, queue: INTERNAL_QUEUE };
    const feed = this.#feed(step, `${path}^`, parent, incoming);
    const members = [this.#later(other, `${path}^b`)];
    return one({ ...internal(INTERNAL_JOB.fallback, path, feed), expand: { parent, members } });
  }

  #fanOut(path: string, expansion: Expansion, incoming?: Incoming): FlowNode {
    const feed = incoming?.({ path, queue: INTERNAL_QUEUE });
    return {
      path,
      name: INTERNAL_JOB.fanOut,
      queue: INTERNAL_QUEUE,
      options: INTERNAL_OPTIONS,
      expand: expansion,
      ...(feed ?? { open: true }),
    };
  }

  #task(expression: NormalTask, path: string, feed?: Feed): FlowNode {
    const { task, input, into, immutable } = expression;
    if (into !== undefined) checkKeys([into]);
    const { queue, ...options } = this.#planning.optionsOf(expression);
    return {
      path,
      name: task,
      queue,
      ...(Object.keys(options).length > 0 && { options }),
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

  /** The job of a part that is added later than the run, or is one of many. */
  #later(expression: NormalMember, path: string): FlowNode {
    return this.#apart().node(expression, path);
  }

  #apart(): Planner {
    return this.#feeds === undefined ? this : new Planner(this.#planning);
  }
}

/** Whether something of it is left open. An empty group takes any input, so that a list of members may turn out to be empty. */
export function takesInput(node: FlowNode): boolean {
  const isEmptyGroup = node.after !== undefined && node.children?.length === 0;
  return node.open === true || isEmptyGroup || (node.children ?? []).some(takesInput);
}

/** The job that tells its join at once how a member has ended. */
function probe(member: FlowNode): FlowNode {
  return {
    ...internal(INTERNAL_JOB.probe, `${member.path}!`, one(member)),
  };
}

function one(node: FlowNode): Feed {
  return { after: { step: node.path }, children: [node] };
}

function internal(name: string, path: string, feed: Feed): FlowNode {
  return { path, name, queue: INTERNAL_QUEUE, options: INTERNAL_OPTIONS, ...feed };
}

async function* eachOf(
  members: Iterable<NormalMember> | AsyncIterable<NormalMember>,
  nodeOf: (member: NormalMember, index: number) => FlowNode,
): AsyncGenerator<FlowNode> {
  let index = 0;
  for await (const member of members) {
    yield nodeOf(member, index);
    index += 1;
  }
}

function notLazy(place: string): CanvasError {
  return new CanvasError(
    `A group whose members are read while they are sent has to start the workflow; this one ${place}. ` +
      'Make a list of its members first: group([...members]).',
  );
}

/** A value with such a key would be taken for its prototype by whoever merges it; workers refuse it. */
function checkKeys(keys: readonly string[] = []): void {
  if (keys.includes('__proto__')) throw new CanvasError('No key of a value can be called "__proto__".');
}

function tooMany(count: number, limit: number): CanvasError {
  return new CanvasError(
    `A group has ${count} members, and the limit for those that are given as a list is ${limit}. Give them as an ` +
      'iterable, so that they are read while they are sent, or raise createApp({ limits: { groupMembers } }).',
  );
}
