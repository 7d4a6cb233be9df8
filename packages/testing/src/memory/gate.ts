/** Decides when jobs are handed to workers; a test's engine stands still while it is shut. */
export interface Gate {
  /** Whether jobs of the queue may be handed out. */
  admits(queue: string): boolean;
  /** A job of the queue was handed out. */
  handedOut(queue: string): void;
}

/** Hands out whatever there is. */
export const openGate: Gate = { admits: () => true, handedOut: () => {} };
