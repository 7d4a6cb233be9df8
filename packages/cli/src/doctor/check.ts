/** What was looked at, and what came of it. */

export interface Check {
  /** Names the check for programs. */
  readonly id: string;
  readonly status: 'ok' | 'warning' | 'error';
  /** One line for people; may hold text from the store, which is cleaned where it is shown. */
  readonly message: string;
  readonly hint?: string;
  /** More of the same, for programs and with `-v`. */
  readonly details?: readonly string[];
}

export const ok = (id: string, message: string): Check => ({ id, status: 'ok', message });
