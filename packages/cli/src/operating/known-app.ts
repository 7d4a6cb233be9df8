/** Whether the store knows an app by this name, and which ones it knows. */
import type { App, FoundApps, QueueInfo, WorkerInfo } from '@umbel/core';
import { CliError } from '../errors/cli-error.js';
import { EXIT } from '../errors/exit-codes.js';

const MOST = 20;

/**
 * Why an app of this name is probably not meant: nothing of it is in the store. Undefined if something is, or the store
 * is too large to be sure.
 */
export async function whyUnknown(
  app: App,
  workers: readonly WorkerInfo[],
  queues: readonly QueueInfo[],
): Promise<{ readonly what: string; readonly why: string } | undefined> {
  const isUsed = queues.some(({ counts }) => Object.values(counts).some((count) => count > 0));
  if (workers.length > 0 || isUsed) return undefined;
  const found = await app.inspect.apps();
  if (!found.isComplete || found.apps.some(({ name }) => name === app.name)) return undefined;
  return { what: `The store holds nothing of an app "${app.name}".`, why: listOf(found) };
}

/** @throws {CliError} if nothing of the app is in the store. */
export async function checkKnown(
  app: App,
  workers: readonly WorkerInfo[],
  queues: readonly QueueInfo[],
): Promise<void> {
  const unknown = await whyUnknown(app, workers, queues);
  if (unknown === undefined) return;
  throw new CliError({
    exitCode: EXIT.notFound,
    ...unknown,
    hint: 'Is it this name, and this store? See --name, --prefix and --connection.',
  });
}

function listOf({ apps }: FoundApps): string {
  if (apps.length === 0) return 'It holds no app at all.';
  const shown = apps.slice(0, MOST).map(({ name }) => name);
  const more = apps.length > MOST ? `, and ${apps.length - MOST} more` : '';
  return `Apps in this store: ${shown.join(', ')}${more}.`;
}
