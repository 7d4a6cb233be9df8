/** What is sent once a node has ended, kept in its expression. */
import { isDeepStrictEqual } from 'node:util';
import type { Expression } from './signature.js';

/** What is sent after a node, each once. */
export interface CallbackExpressions {
  /** With the result. */
  readonly success?: readonly Expression[];
  /** With a `FailureRecord`. */
  readonly failure?: readonly Expression[];
  /** With a `StepOutcome`, whatever it is. */
  readonly always?: readonly Expression[];
}

/** The callbacks with one more. One that is there already, by its data, is not added again. */
export function withCallback(
  callbacks: CallbackExpressions = {},
  moment: keyof CallbackExpressions,
  callback: Expression,
): CallbackExpressions {
  const present = callbacks[moment] ?? [];
  return present.some((other) => isDeepStrictEqual(other, callback))
    ? callbacks
    : { ...callbacks, [moment]: [...present, callback] };
}
