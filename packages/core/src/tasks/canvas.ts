/** The seam to compositions: they are made and planned by `@umbel/canvas`, which this package does not know. */
import { CanvasNotLoadedError } from '../errors.js';
import type { FlowNode } from '../flow/node.js';
import { sharedOptions } from '../flow/shared.js';
import { mergeOptions, NO_OPTIONS, type NormalizedOptions } from './options.js';
import type { Expression, Sender, TaskExpression } from './signature.js';

/** What planning has to know of an app. */
export type Planning = Pick<Sender, 'optionsOf' | 'maxMembers'>;

/** The options of a call, its task's included. It is routed by its own headers, over those of what it is a part of. */
export type OptionsOf = (
  expression: TaskExpression,
  headers?: Headers,
) => NormalizedOptions & { readonly queue: string };

type Headers = Readonly<Record<string, string>> | undefined;

/** The workflow that what is planned becomes a part of. */
export interface Surroundings {
  /** Its options: those of a call win. */
  readonly options: NormalizedOptions;
  readonly headers?: Headers;
}

interface Canvas {
  /** The chain of a signature and what may be its next step. */
  readonly pipe: (first: object, next: unknown) => object;
  /** The jobs of an expression: the one that gives its value at a path, or without one what is sent by itself. */
  readonly plan: (
    expression: Expression,
    planning: Planning,
    path?: string,
    surroundings?: Surroundings,
  ) => FlowNode;
}

let canvas: Canvas | undefined;

/** Says how compositions are made and planned. */
export function provideCanvas(provided: Canvas): void {
  canvas = provided;
}

/**
 * The chain of the two.
 * @throws {CanvasNotLoadedError} if nothing says how it is made.
 */
export function piped(first: object, next: unknown): object {
  return loaded('`.pipe()`, which makes a chain,').pipe(first, next);
}

/**
 * The jobs of an expression, see `Canvas`.
 * @throws {CanvasNotLoadedError} if it is more than one call, and nothing says how it is planned.
 */
export function planned(
  expression: Expression,
  planning: Planning,
  path?: string,
  surroundings?: Surroundings,
): FlowNode {
  if (isCall(expression) && expression.callbacks === undefined)
    return callNode(expression, planning, path ?? '', surroundings);
  return loaded('A composition').plan(expression, planning, path, surroundings);
}

function callNode(
  expression: TaskExpression,
  planning: Planning,
  path: string,
  { options: above, headers }: Surroundings = { options: NO_OPTIONS },
): FlowNode {
  const { task, input, into, immutable } = expression;
  const own = mergeOptions(above, expression.options ?? NO_OPTIONS);
  const all = planning.optionsOf({ ...expression, options: own }, headers);
  const { queue, ...options } = all;
  const shared = sharedOptions(above, all);
  return {
    path,
    name: task,
    queue,
    options,
    ...(input !== undefined && { input }),
    ...(into !== undefined && { into }),
    ...(!immutable && { open: true }),
    ...(shared !== undefined && { content: { shared } }),
  };
}

function isCall(expression: Expression): expression is TaskExpression {
  return expression.kind === 'task';
}

function loaded(what: string): Canvas {
  if (canvas === undefined) throw new CanvasNotLoadedError(what);
  return canvas;
}
