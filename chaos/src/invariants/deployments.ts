/** A worker that is told to end does so soon, with code 0, unless something else kills it meanwhile. */
import type { Invariant } from './evidence.js';

/** Handlers take less than a second; the store may be away for a few. */
const LIMIT_MS = 15_000;

export const deployments: Invariant = ({ history }) =>
  history.flatMap((line) => {
    if (line.event !== 'deployed' || line.end === 'SIGKILL') return [];
    const messages: string[] = [];
    if (line.end !== 0)
      messages.push(`process ${line.pid} ended by SIGTERM with ${line.end}, and not with code 0`);
    const tookMs = line.at - line.since;
    if (tookMs > LIMIT_MS) messages.push(`process ${line.pid} took ${tookMs} ms to end after SIGTERM`);
    return messages.map((message) => ({ invariant: 'deployments', message }));
  });
