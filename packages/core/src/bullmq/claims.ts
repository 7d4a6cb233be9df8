/** The jobs that a worker holds. */
import type { Job } from 'bullmq';

export interface Claim {
  readonly id: string;
  /** Of its lock. */
  readonly token: string;
  /** How often the job had been started when it was claimed, this time included: no other claim of it has the same. */
  readonly starts: number;
  /** Called once its outcome is stored, or it is not held any more. */
  readonly onEnd: (() => void)[];
}

const NONE: readonly Claim[] = [];

/** What a worker holds, from the moment a job is handed to it to the moment its outcome is stored. */
export class Claims {
  /** By the id of the job: looked at several times for each. */
  readonly #held = new Map<string, readonly Claim[]>();

  /** Notes a job until it is released. */
  hold(job: Job<unknown, unknown>, token: string): Claim {
    const claim: Claim = { id: job.id ?? '', token, starts: job.attemptsStarted, onEnd: [] };
    this.#held.set(claim.id, [...this.of(claim.id), claim]);
    return claim;
  }

  /** Its outcome is stored, or it is held no more. */
  release(claim: Claim): void {
    const others = this.of(claim.id).filter((held) => held !== claim);
    if (others.length === 0) this.#held.delete(claim.id);
    else this.#held.set(claim.id, others);
    for (const listener of claim.onEnd) listener();
  }

  /** Every claim of a job; more than one if it was lost and is held again. */
  of(id: string): readonly Claim[] {
    return this.#held.get(id) ?? NONE;
  }

  find(id: string, token: string): Claim | undefined {
    return this.of(id).find((claim) => claim.token === token);
  }
}
