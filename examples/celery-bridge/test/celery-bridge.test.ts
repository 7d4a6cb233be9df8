/** Umbel and Debian's Celery on one Redis. The rows are those of docs/from-celery.md. */
import { type App, createApp } from '@umbel/core';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { z } from 'zod';
import { start } from '../../../test/support/example.js';
import { type RedisServer, startRedis } from '../../../test/support/redis-server.js';
import { CeleryBridge } from '../src/bridge.js';
import { CeleryClient } from '../src/celery/client.js';
import { encodeCall } from '../src/celery/message.js';
import { CeleryPrograms, hasCelery } from './python.js';

const quiet = { info() {}, warn() {}, error() {} };
const soon = { timeout: '50s' } as const;

describe.skipIf(!hasCelery)(
  'beside Celery (skipped without the Debian packages python3-celery and python3-redis)',
  () => {
    let server: RedisServer;
    let redis: Redis;
    let python: CeleryPrograms;
    let endWorker: () => Promise<void>;
    let celery: CeleryClient;

    beforeAll(async () => {
      server = await startRedis();
      redis = new Redis(server.url);
      python = new CeleryPrograms(server.url);
      endWorker = await python.startWorker();
      celery = new CeleryClient(redis);
    });
    afterAll(async () => {
      await endWorker();
      celery.close();
      redis.disconnect();
      await server.stop();
    });

    test('the programs of the example call each other', async (context) => {
      const example = start(context, 'celery-bridge', { url: server.url });
      expect(await example.wrote(/computed.*\n/)).toContain('Celery has computed { cents: 500 }');
      expect(await python.run('send.py')).toBe(
        [
          "{'sent': 'Invoice to ada@example.org'}",
          'ValidationError - The input of task "mail.send" is not valid:',
          'RangeError - no mail server for ada@example.invalid',
          '',
        ].join('\n'),
      );
      example.stop();
      expect((await example.ended).code).toBe(0);
    });

    describe('a handler sends a task of Celery', () => {
      const ctx = (id: string, signal = new AbortController().signal) => ({ id, attempt: 1, signal });
      const fails = async (task: string, call: Parameters<CeleryClient['run']>[1] = {}, id = task) => {
        const error = await celery.run(task, call, ctx(id)).then(
          () => undefined,
          (reason: Error & { traceback?: string }) => reason,
        );
        return { name: error?.name, message: error?.message, traceback: error?.traceback };
      };

      test('an exception arrives with its class, message and traceback', async () => {
        expect(await fails('fails.builtin')).toEqual({
          name: 'ValueError',
          message: 'not so, 7',
          traceback: expect.stringContaining('raise ValueError("not so", 7)'),
        });
        expect(await fails('fails.custom')).toMatchObject({ name: 'OutOfStock', message: 'no chairs' });
      });

      test('arguments that do not fit, and a task that no worker has, arrive as failures', async () => {
        expect(await fails('billing.total', { kwargs: { rows: [] } })).toMatchObject({
          name: 'TypeError',
          message: expect.stringContaining("unexpected keyword argument 'rows'"),
        });
        expect(await fails('not.there')).toMatchObject({ name: 'NotRegistered', message: 'not.there' });
      });

      test("a retry of Celery's is waited for", async () => {
        expect(await celery.run('retries.once', {}, ctx('retried'))).toBe(1);
      });

      test('a revoked and an expired call arrive as TaskRevokedError', async () => {
        await python.evaluate(
          'answer(app.control.broadcast("revoke", arguments={"task_id": "revoked:1"}, reply=True, timeout=5, limit=1))',
        );
        expect(await fails('billing.total', { kwargs: { lines: [] } }, 'revoked')).toMatchObject({
          name: 'TaskRevokedError',
          message: 'revoked',
        });
        const expires = new Date(Date.now() - 60_000);
        expect(await fails('returns.text', { expires }, 'expired')).toMatchObject({
          name: 'TaskRevokedError',
          message: 'expired',
        });
      });

      test('a task that ignores its result never arrives: the timeout of the task ends the wait', async () => {
        const app = createApp({ name: 'ignoring', connection: server.url, logger: quiet });
        const task = app.task({
          name: 'ignored',
          timeout: 300,
          run: (_, context) => celery.run('ignores.result', {}, context),
        });
        await app.worker().start();
        const outcome = await (await task.delay()).outcome(soon);
        expect(outcome.ok ? outcome : outcome.error.cause.name).toBe('TimeLimitError');
        await app.close();
      });

      test('what Celery returns is checked against the output of the task', async () => {
        const app = createApp({ name: 'checking', connection: server.url, logger: quiet });
        const task = app.task({
          name: 'checked',
          input: z.object({ lines: z.array(z.object({ cents: z.int() })) }),
          output: z.object({ cents: z.int() }),
          run: async (input, context) =>
            (await celery.run('returns.text', { kwargs: input }, context)) as { cents: number },
        });
        await app.worker().start();
        const outcome = await (await task.delay({ lines: [] })).outcome(soon);
        expect(outcome.ok ? outcome : outcome.error.cause).toMatchObject({
          code: 'VALIDATION',
          message: expect.stringContaining('The result of task "checked" is not valid'),
        });
        await app.close();
      });

      test('an attempt that begins again after a crash sends nothing twice', async () => {
        const lines = [{ cents: 7, count: 3 }];
        const left = new AbortController();
        const first = celery.run('billing.total', { kwargs: { lines } }, ctx('crashed', left.signal));
        left.abort(new Error('the worker died'));
        await expect(first).rejects.toThrow('the worker died');
        expect(await celery.run('billing.total', { kwargs: { lines: [] } }, ctx('crashed'))).toEqual({
          cents: 21,
        });
      });
    });

    describe('a Celery program sends a task of Umbel', () => {
      let app: App;
      let bridge: CeleryBridge;
      const runs: string[] = [];

      beforeAll(async () => {
        app = createApp({ name: 'called', connection: server.url, logger: quiet });
        const echo = app.task({
          name: 'echo',
          input: z.object({ text: z.string(), times: z.int().default(1) }),
          run: async ({ text, times }) => {
            runs.push(text);
            if (text === 'broken') throw new RangeError('no echo');
            return text.repeat(times);
          },
        });
        const nothing = app.task({ name: 'nothing', run: async () => {} });
        const hidden = app.task({ name: 'hidden', run: async () => {} });
        bridge = new CeleryBridge(app, redis, { tasks: [echo, nothing] });
        expect(hidden.name).toBe('hidden');
        await app.worker().start();
        bridge.start();
      });
      afterAll(async () => {
        await bridge.close();
        await app.close();
      });

      /** The job of a call that is not due. */
      const findDelayed = () =>
        vi.waitFor(async () => {
          const { items } = await app.jobs.list({ state: 'delayed', task: 'echo' });
          const [job] = items;
          if (job === undefined) throw new Error('there is none');
          return { id: job.id, until: (await app.jobs.waitReason(job.id))?.until };
        });

      test('its input is kwargs or one argument, checked against the schema, and its end is that of the job', async () => {
        const ends = await python.evaluate(`answer([
        ended(send("echo", kwargs={"text": "a", "times": 2})),
        ended(send("echo", {"text": "b"})),
        ended(send("nothing")),
        ended(send("echo", kwargs={"text": "c"}, priority=5)),
        ended(send("echo", kwargs={"text": 7})),
        ended(send("echo", kwargs={"text": "broken"})),
        ended(send("echo", "d", 2)),
        ended(send("hidden")),
      ])`);
        const failed = (name: string, message: string) => ['celery.exceptions', name, message];
        expect(ends).toEqual([
          ['value', 'aa'],
          ['value', 'b'],
          ['value', null],
          ['value', 'c'],
          failed('ValidationError', 'The input of task "echo" is not valid:'),
          failed('RangeError', 'no echo'),
          failed('CeleryMessageError', 'a task of Umbel has one input: send kwargs, or one argument'),
          failed('CeleryMessageError', '"hidden" is not a task of this bridge'),
        ]);
      });

      test('it may be the last step of a chain of Celery, and nothing else of a canvas', async () => {
        const ends = await python.evaluate(`
echo = lambda **kwargs: signature("echo", kwargs=kwargs, queue="umbel", app=app)
total = signature("returns.text", immutable=True, app=app)
first = signature("echo", args=[{"text": "x"}], queue="umbel", immutable=True, app=app)
answer([
  ended(chain(signature("billing.echoed", app=app), echo())()),
  ended(chain(first, total)().parent),
  ended(group(first, first)()),
  ended(chord([first, first], total)().parent[0]),
  ended(send("echo", kwargs={"text": "y"}, link=total)),
  ended(send("echo", kwargs={"text": "z"}, link_error=total)),
])`);
        const refused = (what: string) => [
          'celery.exceptions',
          'CeleryMessageError',
          `only a Celery worker can do this: ${what}`,
        ];
        expect(ends).toEqual([
          ['value', 'from Celery'],
          refused('a next step of a chain'),
          ['value', ['x', 'x']],
          refused('membership in a chord'),
          refused('link'),
          refused('link_error'),
        ]);
        expect(runs).not.toContain('y');
      });

      test('an eta without an offset is in UTC, whatever the time zone of the sender', async () => {
        const there = new CeleryPrograms(server.url, 'America/New_York');
        await there.evaluate(
          'answer(send("echo", kwargs={"text": "later"}, eta=datetime.datetime(2126, 1, 1, 12)).id)',
        );
        const { id, until } = await findDelayed();
        expect(until?.toISOString()).toMatch(/^2126-01-01T12:00:00/);
        await app.result(id).revoke();
      });

      test('a revoked and an expired call are REVOKED', async () => {
        const id = (await python.evaluate(
          'answer(send("echo", kwargs={"text": "revoked"}, countdown=3600).id)',
        )) as string;
        await app.result((await findDelayed()).id).revoke();
        const ends = await python.evaluate(`answer([
        ended(app.AsyncResult("${id}")),
        app.AsyncResult("${id}").state,
        ended(send("echo", kwargs={"text": "late"}, expires=datetime.datetime(2020, 1, 1))),
      ])`);
        const revoked = ['celery.exceptions', 'TaskRevokedError'];
        expect(ends).toEqual([
          [...revoked, expect.stringContaining('revoked')],
          'REVOKED',
          [...revoked, expect.stringContaining('expired')],
        ]);
      });

      test('nothing is stored for a sender that ignores the result', async () => {
        const id = await python.evaluate(
          'answer(send("echo", kwargs={"text": "ignored"}, ignore_result=True).id)',
        );
        await vi.waitFor(() => expect(runs).toContain('ignored'));
        await vi.waitFor(async () => expect((await app.jobs.counts()).total.active).toBe(0));
        expect(await redis.exists(`celery-task-meta-${id}`)).toBe(0);
      });

      test('a bridge takes up what another had taken when it died, and a message that came twice is one job', async () => {
        await bridge.close();
        const message = encodeCall(
          { id: 'taken', task: 'echo', args: [], kwargs: { text: 'once' } },
          'umbel',
        );
        await redis.rpush('umbel:taken-by-umbel', message);
        await redis.rpush('umbel', message);

        const sender = createApp({ name: 'called', connection: server.url, logger: quiet });
        bridge = new CeleryBridge(sender, redis, { tasks: [sender.signature('echo')] });
        bridge.start();
        expect(await python.evaluate('answer(ended(app.AsyncResult("taken")))')).toEqual(['value', 'once']);
        await vi.waitFor(async () => expect(await redis.exists('umbel', 'umbel:taken-by-umbel')).toBe(0));
        expect(runs.filter((text) => text === 'once')).toHaveLength(1);
        await sender.close();
      });
    });

    test('a call waits in the list of the bridge while the store of the app is away', async () => {
      const store = await startRedis();
      const app = createApp({ name: 'away', connection: store.url, logger: quiet, sendTimeout: 100 });
      const echo = app.task({
        name: 'echo',
        input: z.object({ text: z.string() }),
        run: async ({ text }) => text,
      });
      const bridge = new CeleryBridge(app, redis, { tasks: [echo], queue: 'away' });
      await store.kill();
      bridge.start();
      const call = python.evaluate('answer(ended(send("echo", kwargs={"text": "there"}, queue="away")))');
      await vi.waitFor(async () => expect(await redis.exists('away:taken-by-umbel')).toBe(1));
      await store.restart();
      await app.worker().start();
      expect(await call).toEqual(['value', 'there']);
      await bridge.close();
      await app.close();
      await store.stop();
    });

    test('what is no message of Celery is removed, and a message of protocol 1 is answered with a failure', async () => {
      const app = createApp({ name: 'refusing', connection: server.url, logger: quiet });
      const bridge = new CeleryBridge(app, redis, { tasks: [], queue: 'refusing' });
      const logged = vi.spyOn(console, 'error').mockReturnValue();
      onTestFinished(() => logged.mockRestore());
      await redis.lpush('refusing', 'nothing of Celery');
      bridge.start();
      const ends = await python.evaluate(`
old = Celery(broker=app.conf.broker_url, backend=app.conf.result_backend)
old.conf.update(task_protocol=1)
pickled = app.send_task("echo", queue="refusing", serializer="pickle")
answer([ended(pickled), ended(old.send_task("echo", queue="refusing"))])`);
      expect(ends).toEqual(Array(2).fill(['celery.exceptions', 'CeleryMessageError', expect.anything()]));
      expect(logged).toHaveBeenCalledExactlyOnceWith(
        expect.stringContaining('is no message of Celery'),
        expect.stringContaining('protocol 2'),
      );
      await bridge.close();
      await app.close();
    });

    describe('schedules', () => {
      /** The next three occurrences of `crontab(…)`, after a Saturday. */
      const occurrences = (fields: string) =>
        python.evaluate(`
schedule = crontab(app=app, ${fields})
now = datetime.datetime(2026, 8, 1, 12, tzinfo=datetime.timezone.utc)
found = []
for _ in range(3):
    schedule.nowfun = lambda: now
    last, delta, _ = schedule.remaining_delta(now)
    now = last + delta
    found.append(now.strftime("%a %d %b %H:%M"))
answer(found)`);

      test('a day of the month and a weekday are both required', async () => {
        const fields = 'minute=0, hour=9, day_of_month="13", day_of_week="fri"';
        expect(await occurrences(fields)).toEqual([
          'Fri 13 Nov 09:00',
          'Fri 13 Aug 09:00',
          'Fri 13 Oct 09:00',
        ]);
      });

      test('ranges wrap around', async () => {
        expect(await occurrences('minute=0, hour=9, day_of_week="fri-mon"')).toEqual([
          'Sun 02 Aug 09:00',
          'Mon 03 Aug 09:00',
          'Fri 07 Aug 09:00',
        ]);
      });

      test('a step may be longer than its field', async () => {
        expect(await occurrences('minute="*/90"')).toEqual([
          'Sat 01 Aug 13:00',
          'Sat 01 Aug 14:00',
          'Sat 01 Aug 15:00',
        ]);
      });
    });
  },
);
