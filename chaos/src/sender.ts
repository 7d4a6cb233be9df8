/** Whoever sends the workflows of a campaign; the driver waits for them. */
export interface Sender {
  /** Sends a workflow until that is acknowledged, or cannot be. */
  send(index: number): Promise<void>;
  close(): Promise<void>;
}
