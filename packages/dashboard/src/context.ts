/** This module defines what the routes of a dashboard share. */
import type { App, Duration } from '@umbel/core';
import type { Context } from 'hono';
import type { DashboardAction, DashboardTarget } from './actions.js';
import type { BulkOperations } from './bulk.js';
import type { Changes } from './changes.js';
import type { DashboardUser } from './options.js';
import type { SharedReads } from './shared-reads.js';

/** The environment of Hono: what the middleware notes for each request. */
export interface RouteEnv {
  Variables: { user: DashboardUser };
}

export type RouteContext = Context<RouteEnv>;

/** Dependencies of the routes. */
export interface RouteDependencies {
  readonly app: App;
  readonly changes: Changes;
  readonly bulk: BulkOperations;
  readonly reads: SharedReads;
  readonly readOnly: boolean;
  /** How long a job that could start may wait before it is late. */
  readonly lateAfter: Duration;
  /** Returns whether the user of a request may do that. */
  readonly isAllowed: (c: RouteContext, action: DashboardAction, target: DashboardTarget) => Promise<boolean>;
}

/** A request that the user may not make. */
export class ForbiddenError extends Error {
  override readonly name = 'ForbiddenError';
}

/** @throws {ForbiddenError} unless the user may see the target. */
export async function checkView(
  { isAllowed }: RouteDependencies,
  c: RouteContext,
  target: DashboardTarget,
): Promise<void> {
  if (!(await isAllowed(c, 'view', target))) throw new ForbiddenError('You may not see that.');
}

/**
 * Returns the items of a page whose targets the user may see. It asks once for each item, so the cost is bounded by the size
 * of the page. What is shared by users (`SharedReads`) must go through it.
 */
export async function visibleItems<Item>(
  { isAllowed }: RouteDependencies,
  c: RouteContext,
  items: readonly Item[],
  targetOf: (item: Item) => DashboardTarget,
): Promise<Item[]> {
  const visible = await Promise.all(items.map((item) => isAllowed(c, 'view', targetOf(item))));
  return items.filter((_, index) => visible[index] === true);
}

export const jobTarget = ({ id }: { readonly id: string }): DashboardTarget => ({ kind: 'job', id });
export const runTarget = ({ id }: { readonly id: string }): DashboardTarget => ({ kind: 'run', id });
