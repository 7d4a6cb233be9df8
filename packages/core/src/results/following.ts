/** A run as it goes on: what is new, each time that it is looked at. */
import type { JobPlace } from '../bullmq/tree.js';
import { UnknownJobError } from '../errors.js';
import { type RunCounts, runCountsOf } from '../graph/tally.js';
import type { GetOptions } from './async-result.js';
import type { CollectedTask, MemberOutcome } from './member-outcome.js';
import { EndingMembers } from './run/ending-members.js';
import { EndingTasks } from './run/ending-tasks.js';
import { groupOf } from './run/group.js';
import { queuesOf } from './run/large-groups.js';
import { RunReader } from './run/run-reader.js';
import { wholeMembers } from './run/value-members.js';
import { isFinal } from './state.js';
import { LATER, type Look, looksAt, type ResultParts, type Watched } from './watching.js';

/** A look at a job of which it is known whether it had ended before. */
interface Occasion extends Look {
  readonly place: JobPlace;
  readonly isOver: boolean;
}

/** The end is looked for first, so that what has come before it is not missed. */
async function* occasions(
  parts: ResultParts,
  job: Watched,
  options: GetOptions,
): AsyncGenerator<Occasion, void> {
  for await (const look of looksAt(parts, job, options)) {
    const { queue, ask } = look;
    const state = await ask(() => parts.store.state(queue, job.id));
    if (state === LATER) continue;
    if (state === 'unknown') throw new UnknownJobError(job.id, queue);
    yield { ...look, place: { queue, id: job.id }, isOver: isFinal(state) };
  }
}

/** The counts of a run whenever they are others than before, until it has ended. */
export async function* countsOverTime(
  parts: ResultParts,
  job: Watched,
  options: GetOptions,
): AsyncGenerator<RunCounts, void> {
  const reader = new RunReader(parts.store);
  let last = '';
  for await (const { place, isOver, ask, listen, again } of occasions(parts, job, options)) {
    const part = await ask(() => reader.read(place));
    if (part === LATER) continue;
    if (part === undefined) throw new UnknownJobError(job.id, place.queue);
    listen(queuesOf(part));
    const counts = runCountsOf(part);
    const text = JSON.stringify(counts);
    if (text !== last) {
      last = text;
      again();
      yield counts;
    }
    if (isOver) return;
  }
}

/** The members of the group that gives a run's result, as they end; of one without a group, those of its result. */
export async function* membersOverTime(
  parts: ResultParts,
  job: Watched,
  options: GetOptions,
): AsyncGenerator<MemberOutcome<unknown>, void> {
  const { store } = parts;
  let ending: EndingMembers | undefined;
  for await (const { place, isOver, ask, listen, again } of occasions(parts, job, options)) {
    if (ending === undefined || isOver) {
      const group = await ask(() => groupOf(store, place));
      if (group === LATER) continue;
      ending = group && (ending ?? new EndingMembers(store, group));
    }
    const members = ending;
    if (members === undefined) {
      const whole = isOver ? await ask(() => wholeMembers(store, place)) : LATER;
      if (whole === LATER) continue;
      yield* whole;
      return;
    }
    const holders = await ask(() => members.holders());
    if (holders === LATER) continue;
    listen(members.queues);
    let isRead = true;
    for (const holder of holders) {
      const fresh = await ask(() => members.fresh(holder));
      if (fresh === LATER) isRead = false;
      else if (fresh.length > 0) {
        again();
        yield* fresh;
      }
    }
    const added = isOver && isRead ? await ask(() => members.added()) : LATER;
    if (added === LATER) continue;
    yield* added;
    return;
  }
}

/** Every task of a run as it ends. */
export async function* tasksOverTime(
  parts: ResultParts,
  job: Watched,
  options: GetOptions,
): AsyncGenerator<CollectedTask, void> {
  let tasks: EndingTasks | undefined;
  for await (const { place, isOver, ask, listen, again } of occasions(parts, job, options)) {
    tasks ??= new EndingTasks(parts.store, place);
    const ending = tasks;
    for (;;) {
      const fresh = await ask(() => ending.fresh(isOver));
      if (fresh === LATER) break;
      listen(ending.queues);
      if (fresh.length === 0 && isOver) return;
      if (fresh.length === 0) break;
      again();
      yield* fresh;
    }
  }
}
