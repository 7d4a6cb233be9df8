/** This module records the actions of users: each goes to `onAction`, else as one line to the console. */
import type { DashboardAction, DashboardTarget } from './actions.js';
import type { DashboardOptions, DashboardUser } from './options.js';

/** An action that a user has sent. */
export interface AuditEntry {
  readonly at: Date;
  /** The name of the user. */
  readonly user: string;
  readonly action: Exclude<DashboardAction, 'view'>;
  readonly target: DashboardTarget;
  /** `refused`: by `can` or `readOnly`. `failed`: the app refused it. */
  readonly outcome: 'done' | 'refused' | 'failed';
  /** Why it failed. */
  readonly error?: string;
  /** At the end of an action on all jobs of a search, whose beginning has its own entry: what it has done. */
  readonly jobs?: {
    readonly changed: number;
    readonly skipped: number;
    /** It was aborted by a user, or by the end of the server. */
    readonly isAborted: boolean;
  };
}

/** Returns a function that records entries. */
export function auditLog<User extends DashboardUser>(
  onAction: DashboardOptions<User>['onAction'],
): (entry: Omit<AuditEntry, 'at'>) => void {
  const record = onAction ?? ((entry) => console.info(lineOf(entry)));
  return (entry) => record({ ...entry, at: new Date() });
}

/** JSON escapes line breaks and control characters, so an entry is always one line. */
function lineOf({ at: _, ...entry }: AuditEntry): string {
  return `umbel dashboard: ${JSON.stringify(entry)}`;
}
