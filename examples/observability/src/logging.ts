/** Structured logs with pino: a logger for every attempt, and a line for what comes of it. */
import { context, trace } from '@opentelemetry/api';
import type { Hooks, Middleware, TaskContext } from '@umbel/core';
import { senderContext } from '@umbel/core/opentelemetry';
import { type DestinationStream, type Logger, pino } from 'pino';

/** Writes JSON lines, each with the trace it belongs to, so that logs and traces can be found from one another. */
export function createLogger(destination?: DestinationStream): Logger {
  return pino(
    {
      base: null,
      formatters: { level: (level) => ({ level }) },
      mixin() {
        const span = trace.getActiveSpan()?.spanContext();
        return span === undefined ? {} : { traceId: span.traceId, spanId: span.spanId };
      },
    },
    destination ?? pino.destination({ dest: 1, sync: true }), // so that what is printed after a line stands after it
  );
}

/** Gives every handler a `ctx.logger` that names its attempt, and logs how the attempt begins and ends. */
export function logging(logger: Logger): Middleware<{ logger: Logger }> {
  return {
    async run(ctx, next) {
      const own = ofAttempt(logger, ctx);
      const startedAt = performance.now();
      const durationMs = () => Math.round((performance.now() - startedAt) * 10) / 10;
      own.info('attempt started');
      try {
        const result = await next({ logger: own });
        own.info({ durationMs: durationMs() }, 'attempt ended');
        return result;
      } catch (err) {
        own.warn({ durationMs: durationMs(), err }, 'attempt failed');
        throw err;
      }
    },
  };
}

/** What middleware cannot know: whether a failed attempt is followed by another. Hooks are told. */
export function outcomes(logger: Logger): Hooks {
  // Hooks are called outside of the middleware, where no span is active: the sender's tells which trace it is.
  return {
    retry: (ctx, { message }) =>
      context.with(senderContext(ctx), () =>
        ofAttempt(logger, ctx).info({ reason: message }, 'it is tried again'),
      ),
    failure: (ctx, { message }) =>
      context.with(senderContext(ctx), () =>
        ofAttempt(logger, ctx).error({ reason: message }, 'the job failed'),
      ),
  };
}

function ofAttempt(logger: Logger, { id, name, attempt, runId }: TaskContext): Logger {
  return logger.child({ jobId: id, task: name, attempt, ...(runId !== undefined && { runId }) });
}
