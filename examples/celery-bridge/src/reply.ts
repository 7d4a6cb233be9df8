/** The task that stores how a job has ended for the Celery program that has sent it. It is a job, so no result is lost. */
import type { App } from '@umbel/core';
import { z } from 'zod';
import type { CeleryResults } from './celery/results.js';

/** What `finally` sends, with the id of the Celery call. */
const ended = z.object({
  id: z.string(),
  ok: z.boolean(),
  value: z.unknown().optional(),
  error: z
    .object({
      error: z.object({
        name: z.string(),
        message: z.string(),
        code: z.union([z.string(), z.number()]).optional(),
      }),
    })
    .optional(),
});

/** Umbel's codes of what Celery calls REVOKED. */
const REVOKED: ReadonlySet<unknown> = new Set(['REVOKED', 'EXPIRED']);

export function defineReply(app: App, results: CeleryResults) {
  return app.task({
    name: 'celery.reply',
    input: ended,
    retry: { attempts: 20 },
    run: async ({ id, value, error: failure }) => {
      if (failure === undefined) return results.storeSuccess(id, value);
      if (REVOKED.has(failure.error.code)) return results.storeRevoked(id, failure.error.message);
      return results.storeFailure(id, failure.error);
    },
  });
}
