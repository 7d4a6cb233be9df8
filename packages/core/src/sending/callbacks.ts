import { InvalidOptionError } from '../errors.js';
import type { Callbacks, FlowNode } from '../flow/node.js';
import type { SendOptions } from '../tasks/options.js';
import { PLAN, type Plannable } from '../tasks/signature.js';

/** What `link` and `linkError` ask for, planned. @throws {InvalidOptionError} if one is no signature. */
export function callbacksOf({ link, linkError }: SendOptions<never>): Pick<FlowNode, 'callbacks'> {
  const success = plansOf('link', link);
  const failure = plansOf('linkError', linkError);
  if (success.length === 0 && failure.length === 0) return {};
  const callbacks: Callbacks = {
    ...(success.length > 0 && { success }),
    ...(failure.length > 0 && { failure }),
  };
  return { callbacks };
}

function plansOf(option: string, given: unknown): FlowNode[] {
  const signatures: unknown[] = given === undefined ? [] : Array.isArray(given) ? given : [given];
  return signatures.map((signature) => {
    if (typeof signature === 'object' && signature !== null && PLAN in signature) {
      return (signature as Plannable)[PLAN](); // only signatures have it
    }
    throw new InvalidOptionError(
      option,
      'a task, a signature or a composition, or a list of those',
      signature,
    );
  });
}
