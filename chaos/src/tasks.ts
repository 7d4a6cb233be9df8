/** The tasks that campaigns send. What a call does is decided by its input alone, so that it can be told in advance. */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { fromJSON } from '@umbel/canvas';
import type { App } from '@umbel/core';
import { z } from 'zod';
import { DEEDS, effectOf, withSignalKey, workedOn } from '../../packages/canvas/test/support/node-task.js';
import type { AnySignature } from '../../packages/canvas/test/support/places.js';
import type { HandlerEnd, LedgerEntry } from './ledger.js';
import { POISONS, type Poison, takePoison } from './poison.js';
import type { Random } from './random.js';
import { defineTimedTasks, type TimedSettings } from './timed-tasks.js';
import { nodeNameOf, queueOf } from './versions.js';

export interface TaskSettings {
  readonly note: (entry: Omit<LedgerEntry, 'at' | 'pid'>) => void;
  /** How long handlers take, of what they take by default. */
  readonly slowness?: number | undefined;
  /** One handler in so many, by chance, blocks the event loop of its process. */
  readonly blocking?: { readonly oneIn: number; readonly ms: number; readonly random: Random } | undefined;
  /** Of the code: it has the tasks of this version and of all before it. Default 1. */
  readonly version?: number | undefined;
  readonly timed?: TimedSettings | undefined;
}

/** Gives an app its tasks; whoever only sends needs no settings. */
export function defineTasks(app: App, settings: TaskSettings = { note: () => {} }) {
  const { version = 1 } = settings;
  const older = Array.from({ length: version - 1 }, (_, index) => defineNode(app, settings, index + 1));
  const newest = defineNode(app, settings, version);
  return {
    node: newest,
    /** By their version, from 1. */
    nodes: [...older, newest],
    signals: defineSignals(app),
    poison: definePoison(app, settings),
    ...defineTimedTasks(app, settings),
  };
}

/** The task of the nodes of random workflows, as a version of the code names it. */
function defineNode(app: App, { note, blocking, slowness = 1 }: TaskSettings, version: number) {
  return app.task({
    name: nodeNameOf(version),
    queue: queueOf(version),
    input: z.object({
      w: z.number(), // the workflow it belongs to
      n: z.number(),
      does: z.enum(DEEDS),
      value: z.unknown().optional(),
      extra: z.unknown().optional(),
      /** The composition that belongs to the node: a worker knows nothing but the call. */
      own: z.unknown().optional(),
    }),
    retry: { attempts: 2, delay: 1, on: (error) => error.message === 'try again' },
    run: async (input, ctx): Promise<unknown> => {
      const { w, n, does, own } = input;
      const value = workedOn(input);
      const { attempt, id: job } = ctx;
      const noted = { job, attempt, workflow: w, node: n, value };
      const end = (how: HandlerEnd) => note({ event: 'end', ...noted, how });
      note({ event: 'start', ...noted });
      const takesMs = timeOf(w, n, value);
      if (blocking !== undefined && blocking.random.below(blocking.oneIn) === 0) {
        note({ event: 'blocked', ...noted, forMs: blocking.ms });
        block(blocking.ms);
      }
      if (takesMs > 0) await sleep(takesMs * slowness);
      if (does === 'retry' && attempt === 1) {
        end('asked');
        throw new Error('try again');
      }
      const effect = effectOf(input, value);
      switch (effect.kind) {
        case 'fails':
          end('failed');
          throw new Error(`node ${n} fails`);
        case 'stops':
          end('stopped');
          return ctx.stop(effect.value);
        case 'becomes':
          end('placed');
          return ctx.replace(composition(app, own), value);
        case 'adds':
          await ctx.addToGroup(composition(app, own), value);
          end('gave');
          return effect.value;
        case 'gives':
          if (does === 'ticket' && isEarly(w, n, value)) {
            const answer = await app.signals.send(DECIDED, job, { signalBy: 'early', signalKey: job });
            note({ event: 'signalled', ...noted, key: job, by: 'early', answer });
          }
          end('gave');
          return withSignalKey(does, effect.value, job);
      }
    },
  });
}

/** The name of the signal that campaigns send. */
export const DECIDED = 'decided';

/** The signals of waits. The driver sends `decided` to each open wait; nobody sends `silent`. */
function defineSignals(app: App) {
  const payload = z.object({ signalBy: z.string(), signalKey: z.string() });
  return {
    decided: app.signal({ name: DECIDED, payload }),
    silent: app.signal({ name: 'silent', payload }),
  };
}

/** Whether the signal of a wait is sent before the wait begins: for one in three. */
function isEarly(...of: readonly unknown[]): boolean {
  return createHash('sha1').update(JSON.stringify(of)).digest().readUInt8(2) % 3 === 0;
}

function definePoison(app: App, { note }: TaskSettings) {
  return app.task({
    name: 'poison',
    input: z.object({ w: z.number(), how: z.enum(POISONS) }),
    timeout: '2s',
    run: async ({ w, how }, ctx): Promise<unknown> => {
      note({ event: 'start', job: ctx.id, attempt: ctx.attempt, workflow: w, node: 0, value: how });
      return takePoison(how as Poison);
    },
  });
}

export type Tasks = ReturnType<typeof defineTasks>;

function composition(app: App, own: unknown): AnySignature {
  return fromJSON(app, own);
}

/**
 * How long a handler takes: nothing, a few milliseconds, or so long that faults find it at work. Not longer: one that is
 * found by kills seven times in a row is taken for poison.
 */
function timeOf(...of: readonly unknown[]): number {
  const digest = createHash('sha1').update(JSON.stringify(of)).digest();
  const kind = digest.readUInt8(0) % 10;
  const spread = digest.readUInt8(1) / 256;
  if (kind < 4) return 0;
  return kind < 8 ? spread * 30 : 50 + spread * 200;
}

/** Keeps the event loop from turning, without using the processor. */
function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
