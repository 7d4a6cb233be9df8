/** Which workflows a campaign sends: the same for the same seed, in every process. */
import type { CanvasExpression } from '@umbel/canvas';
import { type AsyncResult, createApp, isUmbelError } from '@umbel/core';
import fc from 'fast-check';
import { Interpreter, TooManyWorlds, type World } from '../../packages/canvas/test/support/interpreter.js';
import type { Deed } from '../../packages/canvas/test/support/node-task.js';
import type { AnySignature } from '../../packages/canvas/test/support/places.js';
import { build, type NodeTask, type Spec, specs } from '../../packages/canvas/test/support/random-specs.js';
import { POISONS, type Poison } from './poison.js';
import { Random } from './random.js';
import { defineTasks, type Tasks } from './tasks.js';

export type Workflow =
  | { readonly kind: 'random'; readonly index: number; readonly spec: Spec; readonly input: string }
  | { readonly kind: 'poison'; readonly index: number; readonly how: Poison }
  /** A call that is to start after a while, and not much later. */
  | { readonly kind: 'appointed'; readonly index: number; readonly countdownMs: number };

export interface WorkloadSettings {
  readonly seed: number;
  /** One workflow in so many is a poison task. */
  readonly poisonOneIn?: number | undefined;
  /** One workflow in so many is a call with a countdown and a time after which it expires. */
  readonly appointedOneIn?: number | undefined;
  /** Without callbacks, which are sent when a workflow was revoked, too. */
  readonly withoutCallbacks?: boolean | undefined;
}

const NODES = { min: 3, max: 60 };
/** Of a group that is wide on purpose. */
const MAX_WIDTH = 300;
/** Specs are drawn in portions, each by a seed of its own, so that there is no end of them. */
const PORTION = 10;
/** Of appointed calls, in milliseconds. */
const COUNTDOWN_MS = { min: 200, max: 3000 };
/** After its countdown a call may start for so long: for longer than it takes to recover from faults. */
const EXPIRES_MS = 10 * 60_000;

export class Workload {
  readonly #settings: WorkloadSettings;
  readonly #portions = new Map<number, Workflow[]>();

  constructor(settings: WorkloadSettings) {
    this.#settings = settings;
  }

  at(index: number): Workflow {
    const portion = Math.floor(index / PORTION);
    let drawn = this.#portions.get(portion);
    if (drawn === undefined) {
      drawn = this.#draw(portion);
      this.#portions.set(portion, drawn);
    }
    const workflow = drawn[index % PORTION];
    if (workflow === undefined) throw new RangeError(`no workflow ${index}`);
    return workflow;
  }

  #draw(portion: number): Workflow[] {
    const { seed, poisonOneIn, appointedOneIn, withoutCallbacks } = this.#settings;
    const random = new Random(seed).for(`portion ${portion}`);
    const fitting = fc
      .tuple(specs, fc.string({ maxLength: 3 }))
      .filter(([spec, input]) => isFitting(spec, input) && !(withoutCallbacks && hasCallbacks(spec)));
    const drawn = fc.sample(fitting, {
      seed: random.below(2 ** 31),
      numRuns: PORTION,
    });
    return drawn.map(([spec, input], offset): Workflow => {
      const index = portion * PORTION + offset;
      if (poisonOneIn !== undefined && random.below(poisonOneIn) === 0) {
        return { kind: 'poison', index, how: random.pick(POISONS) };
      }
      if (appointedOneIn !== undefined && random.below(appointedOneIn) === 0) {
        const countdownMs = Math.round(random.between(COUNTDOWN_MS.min, COUNTDOWN_MS.max));
        return { kind: 'appointed', index, countdownMs };
      }
      return { kind: 'random', index, spec, input };
    });
  }
}

/** What workflows are made of; `node` is that of the version of the code that sends. */
export type SentTasks = Pick<Tasks, 'node' | 'signals' | 'poison' | 'appointed'>;

/** Sends a workflow, as it is or, if none of its steps takes an input, without one. */
export async function send(
  workflow: Workflow,
  tasks: SentTasks,
  options: { readonly idempotencyKey?: string },
): Promise<AsyncResult<unknown>> {
  if (workflow.kind === 'appointed') {
    const { index: w, countdownMs: countdown } = workflow;
    return tasks.appointed.applyAsync({ w }, { ...options, countdown, expires: countdown + EXPIRES_MS });
  }
  if (workflow.kind === 'poison') {
    return tasks.poison.applyAsync({ w: workflow.index, how: workflow.how }, options);
  }
  const { signature } = compiled(workflow, tasks);
  try {
    return await signature.applyAsync(workflow.input, options);
  } catch (error) {
    const isRefused = isUmbelError(error, 'CANVAS') || isUmbelError(error, 'VALIDATION');
    if (!isRefused) throw error;
    return signature.applyAsync(undefined, options);
  }
}

/** All that may become of a workflow: it has to be one of these. */
export function worldsOf(workflow: Extract<Workflow, { kind: 'random' }>): World[] {
  const { signature, belongings } = compiled(workflow, drafts);
  const owned = new Map([...belongings].map(([n, each]) => [n, expressionOf(each)]));
  return new Interpreter(owned).run(expressionOf(signature), workflow.input);
}

interface Compiled {
  readonly signature: AnySignature;
  readonly belongings: ReadonlyMap<number, AnySignature>;
}

/** The composition of a workflow. A node that has one of its own carries it in its input. */
function compiled(
  { index: w, spec }: { index: number; spec: Spec },
  tasks: Pick<Tasks, 'node' | 'signals'>,
): Compiled {
  const belongings = new Map<number, AnySignature>();
  const node = tasks.node as unknown as NodeTask; // which knows the keys of an input that the specs fill
  const whole = <Bound extends { n: number; does: Deed }>(bound: Bound) => {
    const own = belongings.get(bound.n);
    return { ...bound, w, ...(own !== undefined && { own: expressionOf(own) }) };
  };
  const carrying: NodeTask = {
    into: (key, bound) => node.into(key, whole(bound)),
    s: (bound) => node.s(whole(bound)),
    si: (input) => node.si(whole(input)),
    signals: tasks.signals,
  };
  return { signature: build(spec, carrying, belongings), belongings };
}

function expressionOf(signature: AnySignature): CanvasExpression {
  return JSON.parse(JSON.stringify(signature)) as CanvasExpression;
}

/** Tasks to make compositions of that are not sent. */
const drafts = defineTasks(createApp({ name: 'drafts' }));

/** Neither small nor huge, with few enough worlds to compare with, and something to run in each. */
function isFitting(spec: Spec, input: string): boolean {
  const count = countOf(spec);
  if (count < NODES.min || count > (isWide(spec) ? MAX_WIDTH : NODES.max)) return false;
  if (hasEqualItems(spec)) return false;
  try {
    const worlds = worldsOf({ kind: 'random', index: 0, spec, input });
    return worlds.every(({ runs }) => runs.length > 0);
  } catch (error) {
    if (error instanceof TooManyWorlds) return false;
    throw error;
  }
}

const NODES_OF: ReadonlySet<Spec['is']> = new Set(['node', 'become', 'grow', 'wait']);

/** Nodes that are written down; how many run may differ. */
function countOf(spec: Spec): number {
  const own = NODES_OF.has(spec.is) ? 1 : 0;
  if (spec.is === 'wide') return spec.width * countOf(spec.part);
  return partsOf(spec).reduce((sum, part) => sum + countOf(part), own);
}

/** Whether it has a group that is not sent in one piece. */
export function isWide(spec: Spec): boolean {
  return spec.is === 'wide' || partsOf(spec).some(isWide);
}

function hasCallbacks(spec: Spec): boolean {
  return spec.is === 'linked' || partsOf(spec).some(hasCallbacks);
}

/** Items of one chunk run in one job: if two are equal, nobody can tell whether one of them has run twice. */
function hasEqualItems(spec: Spec): boolean {
  if (spec.is === 'chunks' && spec.inputs !== undefined) {
    return new Set(spec.inputs).size < spec.inputs.length;
  }
  return partsOf(spec).some(hasEqualItems);
}

function partsOf(spec: Spec): readonly Spec[] {
  switch (spec.is) {
    case 'become':
    case 'grow':
      return [spec.other];
    case 'chain':
    case 'group':
    case 'settled':
    case 'any':
    case 'atLeast':
    case 'cut':
      return spec.parts;
    case 'record':
      return Object.values(spec.parts);
    case 'chord':
      return [...spec.parts, spec.body];
    case 'wide':
    case 'map':
    case 'flat':
    case 'sleep':
      return [spec.part];
    case 'match':
      return Object.values(spec.cases);
    case 'when':
      return [spec.yes, ...(spec.no === undefined ? [] : [spec.no])];
    case 'whenStep':
      return [spec.test, spec.yes, ...(spec.no === undefined ? [] : [spec.no])];
    case 'loop':
      return [spec.part, ...('test' in spec.until ? [spec.until.test] : [])];
    case 'fallback':
      return [spec.part, spec.other];
    case 'linked':
      return [spec.part, ...spec.callbacks.map((callback) => callback.spec)];
    default:
      return [];
  }
}
