/** The jobs that a worker holds. */
import type { Job } from 'bullmq';

export interface Claim {
  readonly id: string;
  /** Of its lock. */
  readonly token: string;
  /** How often the job had been started when it was claimed, this time included: no other claim of it has the same. */
  readonly starts: number;
  /** How often a sweep had put the job back by then. */
  readonly stalls: number;
  /** Called once its outcome is stored, or it is not held any more. */
  onEnd?: () => void;
  /** Whether its loss counts for the poison rule although this worker lives. */
  isCharged?: () => boolean;
  isLost?: true;
}

const NONE: readonly Claim[] = [];

/** What a worker holds, from the moment a job is handed to it to the moment its outcome is stored. */
export class Claims {
  /** By the id of the job: looked at several times for each. */
  readonly #held = new Map<string, readonly Claim[]>();

  /** Notes a job until it is released. */
  hold(job: Job<unknown, unknown>, token: string): Claim {
    const claim: Claim = { id: job.id ?? '', token, starts: job.attemptsStarted, stalls: job.stalledCounter };
    const others = this.#held.get(claim.id);
    this.#held.set(claim.id, others === undefined ? [claim] : [...others, claim]);
    return claim;
  }

  /** Its outcome is stored, or it is held no more. */
  release(claim: Claim): void {
    const held = this.of(claim.id);
    if (held.length > 1)
      this.#held.set(
        claim.id,
        held.filter((other) => other !== claim),
      );
    else if (held[0] === claim) this.#held.delete(claim.id);
    claim.onEnd?.();
  }

  /** Every claim of a job; more than one if it was lost and is held again. */
  of(id: string): readonly Claim[] {
    return this.#held.get(id) ?? NONE;
  }

  find(id: string, token: string): Claim | undefined {
    return this.of(id).find((claim) => claim.token === token);
  }
}
