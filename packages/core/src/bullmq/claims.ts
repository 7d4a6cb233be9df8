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

/** What a worker holds, from the moment a job is handed to it to the moment its outcome is stored. */
export class Claims {
  readonly #held = new Set<Claim>();

  /** Notes a job while `handling` goes on. */
  async during<T>(job: Job<unknown, unknown>, token: string, handling: () => Promise<T>): Promise<T> {
    const claim: Claim = { id: job.id ?? '', token, starts: job.attemptsStarted, onEnd: [] };
    this.#held.add(claim);
    try {
      return await handling();
    } finally {
      this.#held.delete(claim);
      for (const listener of claim.onEnd) listener();
    }
  }

  /** Every claim of a job; more than one if it was lost and is held again. */
  of(id: string): Claim[] {
    const found: Claim[] = [];
    for (const claim of this.#held) if (claim.id === id) found.push(claim);
    return found;
  }

  find(id: string, token: string): Claim | undefined {
    for (const claim of this.#held) if (claim.id === id && claim.token === token) return claim;
    return undefined;
  }
}
