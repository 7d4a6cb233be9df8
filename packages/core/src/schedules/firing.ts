/** Sends what a schedule has for a slot. What is stored with the schedule is enough for it, in any worker of the app. */
import { scheduleId } from '../bullmq/schedule-store.js';
import { openTree } from '../flow/seal.js';
import type { ScheduleParts } from './parts.js';
import type { OpenRun, ScheduleRecord } from './record.js';

/** Headers by which a handler knows its slot. */
const HEADER = { name: 'umbel-schedule', slot: 'umbel-scheduled-at' } as const;

/** The id of what is sent for a slot. It is the same whoever sends it, and however often: so it is there once. */
export function slotRunId(name: string, slot: number): string {
  return `${scheduleId(name)}-${slot}`;
}

/**
 * Sends the target of a schedule under an id; again changes nothing.
 * @throws {ValidationError} if an input does not fit any more.
 */
export async function fire(
  { sealer, checks, sending, runtime }: ScheduleParts,
  { name, target }: ScheduleRecord,
  id: string,
  slot: number,
): Promise<OpenRun> {
  const node = await openTree(sealer, scheduleId(name), target);
  await checks.checkTree(node);
  await sending.sendPlanned(id, node, { [HEADER.name]: name, [HEADER.slot]: new Date(slot).toISOString() });
  return { id, queue: node.queue, at: runtime.clock.now() };
}
