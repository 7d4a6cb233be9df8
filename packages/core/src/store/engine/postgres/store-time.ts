/**
 * This module converts times between BullMQ, which reads the clock of this machine, and the store. The statements with the
 * current time and the position of the time among their parameters are listed below.
 */
import type { IQueueBackend } from 'bullmq';
import { addsInStoreTime, type StoreTime } from '../../store-time.js';
import { SqlBackend } from './backend.js';
import type { SqlResult } from './pg-driver.js';

/** Indexes of the parameters that are a time, by BullMQ's name of the statement. */
const MOMENTS: Readonly<Record<string, readonly number[]>> = {
  add_job: [7],
  add_job_scheduler: [7],
  update_job_scheduler: [5],
  move_to_active: [3],
  next_signal: [2],
  move_to_completed: [4],
  move_to_completed_fetch: [4, 9],
  move_to_failed: [5],
  move_to_failed_fetch: [5, 10],
  move_to_delayed: [3],
  move_active_to_wait: [3],
  move_stalled_jobs_to_wait: [2],
  extend_lock: [4],
  extend_locks: [4],
  change_delay: [3],
  remove_child_dependency: [3],
  remove_deduplication_key: [3],
  get_deduplication_job_id: [2],
  get_rate_limit_ttl: [2],
  set_rate_limit: [2],
  clean: [2],
};

export function keepsSqlTime(backend: IQueueBackend, time: StoreTime): void {
  if (!(backend instanceof SqlBackend)) return;
  backend.offsetMs = () => time.offsetMs;
  const { run } = backend;
  backend.run = async (command, params): Promise<SqlResult> => {
    const { offsetMs } = time;
    const indexes = MOMENTS[command];
    if (offsetMs === 0 || indexes === undefined) return run.call(backend, command, params);
    const shifted = params?.map((value, index) =>
      typeof value === 'number' && indexes.includes(index) ? value - offsetMs : value,
    );
    const answer = await run.call(backend, command, shifted);
    if (command !== 'next_signal') return answer;
    const rows = answer.rows.map((row) => ({
      ...row,
      next_delay: row.next_delay === null ? null : Number(row.next_delay) + offsetMs,
    }));
    return { ...answer, rows };
  };
  // These statements have the times of jobs in a JSON text.
  addsInStoreTime(backend, time);
}
