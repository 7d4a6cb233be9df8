import {
  type CheckedWaits,
  INTERNAL_QUEUE,
  type NewSignal,
  type OpenWaitPage,
  type OpenWaitRecord,
  type SignalDecision,
  type StartedWait,
  type WaitEnd,
  type WaitState,
} from '@umbel/core/internal';
import { BackendAdmin } from './backend-admin.js';
import type { QueueData } from './queue.js';
import type { WaitingJob } from './signals.js';

/** The part of a backend that keeps signals and waits. Not in BullMQ's contract: `SignalPrimitives` of the core. */
export class BackendSignals extends BackendAdmin {
  startWait(wait: StartedWait): Promise<WaitState> {
    return this.command((queue) => queue.signals.start(wait, queue.now, this.#jobOf(queue)));
  }

  sendSignal(signal: NewSignal): Promise<SignalDecision> {
    return this.command((queue) => queue.signals.send(signal, queue.now, this.#jobOf(queue)));
  }

  endWait(id: string, job: string, reason: WaitEnd, endedMs: number): Promise<WaitState> {
    return this.command((queue) =>
      queue.signals.end(id, job, reason, queue.now + endedMs, queue.now, this.#jobOf(queue)),
    );
  }

  reopenWait(id: string, job: string): Promise<void> {
    return this.command((queue) => queue.signals.reopen(id, job, queue.now));
  }

  listWaits(signal: string | undefined, after: string | undefined, limit: number): Promise<OpenWaitPage> {
    return this.command((queue) => queue.signals.list(signal, after, limit, queue.now));
  }

  findWait(id: string): Promise<OpenWaitRecord | undefined> {
    return this.command((queue) => queue.signals.find(id, queue.now));
  }

  checkWaits(after: string | undefined, limit: number, endedMs: number): Promise<CheckedWaits> {
    return this.command((queue) =>
      queue.signals.check(after, limit, queue.now + endedMs, queue.now, this.#jobOf(queue)),
    );
  }

  #jobOf({ directory }: QueueData): (id: string) => WaitingJob {
    const { jobs } = directory.queue(`${this.prefix}:${INTERNAL_QUEUE}`);
    return (id) => {
      const job = jobs.get(id);
      if (job === undefined) return 'missing';
      return job.placement === 'failed' || job.placement === 'completed' ? job.placement : 'open';
    };
  }
}
