/**
 * This guard starts delayed jobs when they are due. BullMQ's worker waits with a blocking command whose time limit is the
 * moment of the next delayed job. Redis checks such limits with its periodic tasks only, every 100 ms by default, so an idle
 * worker takes a due job 50 ms late on average. The guard ends the wait by a timer of this process.
 */
import { type IQueueBackend, RedisQueueBackend } from 'bullmq';
import { clearTimeout, setTimeout } from '../../../base/real-timers.js';
import { systemClock } from '../../../base/time.js';
import { IDLE_WAIT_S } from '../commands.js';
import { runScript, type Script } from './scripts.js';

/** Adds the marker that BullMQ adds with a job that can start. It wakes the worker that has waited longest. */
const WAKE_WORKER: Script = {
  name: 'umbel:wakeWorker',
  numberOfKeys: 1,
  lua: `return redis.call('ZADD', KEYS[1], 0, '0')`,
};

export function startsDueJobs(backend: IQueueBackend): void {
  if (!(backend instanceof RedisQueueBackend)) return;
  const { waitForJob } = backend;
  const wake = () => runScript(backend, WAKE_WORKER, [backend.toKey('marker')]);
  backend.waitForJob = async (timeoutS) => {
    // After these limits no job is due: they only make the worker look again.
    if (timeoutS === IDLE_WAIT_S || timeoutS >= backend.maximumBlockTimeout)
      return waitForJob.call(backend, timeoutS);
    const stop = callAt(systemClock.now() + timeoutS * 1000, () => {
      wake().catch(() => {}); // the wait ends by its limit, or by the failure of its own connection
    });
    try {
      return await waitForJob.call(backend, timeoutS);
    } finally {
      stop();
    }
  };
}

/** Calls a function at a time of this machine's clock, never before it. Returns its stop. */
function callAt(at: number, call: () => void): () => void {
  let timer: NodeJS.Timeout;
  const check = () => {
    const leftMs = at - systemClock.now();
    // Timers of Node may fire a millisecond early.
    if (leftMs > 0) timer = setTimeout(check, leftMs);
    else call();
  };
  check();
  return () => clearTimeout(timer);
}
