/** At most one sending in a thousand is refused, whatever the store goes through. */
import type { Invariant } from './evidence.js';

const SHARE = 0.001;

export const sendings: Invariant = ({ history, mayReject }) => {
  if (mayReject) return [];
  const rejected = history.filter(({ event }) => event === 'rejected');
  const sent = history.filter(({ event }) => event === 'submit').length;
  if (rejected.length <= sent * SHARE) return [];
  const errors = new Set(rejected.map((line) => ('error' in line ? line.error : '')));
  const message = `${rejected.length} of ${sent} sendings were refused: ${[...errors].join('; ')}`;
  return [{ invariant: 'sendings', message }];
};
