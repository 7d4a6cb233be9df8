/** At most one sending in a thousand is refused, whatever the store goes through. */
import type { Invariant } from './evidence.js';

const SHARE = 0.001;

/** For so long a sending is tried again. */
const SEND_TIMEOUT_MS = 10_000;

export const sendings: Invariant = ({ history, mayReject }) => {
  if (mayReject) return [];
  // A store that takes longer to come back than a sending is tried is no fault of the sending.
  const away = history.flatMap((line) => {
    const isLong =
      line.event === 'fault' && line.target === 'store' && line.at - line.since >= SEND_TIMEOUT_MS / 2;
    return isLong ? [line] : [];
  });
  const rejected = history.filter(
    ({ event, at }) =>
      event === 'rejected' && !away.some((fault) => fault.since <= at && fault.at >= at - SEND_TIMEOUT_MS),
  );
  const sent = history.filter(({ event }) => event === 'submit').length;
  if (rejected.length <= sent * SHARE) return [];
  const errors = new Set(rejected.map((line) => ('error' in line ? line.error : '')));
  const message = `${rejected.length} of ${sent} sendings were refused: ${[...errors].join('; ')}`;
  return [{ invariant: 'sendings', message }];
};
