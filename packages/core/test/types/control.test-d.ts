import {
  type Answers,
  createApp,
  type Obeyed,
  type Pong,
  type QueueInfo,
  type RegisteredTask,
  type ScheduledJob,
  type ShuttingDown,
  type WorkerConf,
  type WorkerInfo,
  type WorkerStats,
} from '@umbel/core';
import { expectTypeOf, test } from 'vitest';

const app = createApp({ name: 'types' });
const { inspect, control } = app;

test('what is looked at has types', () => {
  expectTypeOf(inspect.workers()).resolves.toEqualTypeOf<WorkerInfo[]>();
  expectTypeOf(inspect.queues()).resolves.toEqualTypeOf<QueueInfo[]>();
  expectTypeOf(inspect.scheduled({ limit: 3 })).resolves.toEqualTypeOf<ScheduledJob[]>();
  expectTypeOf(inspect.ping({ timeout: '1s' })).resolves.toEqualTypeOf<Answers<Pong>>();
  expectTypeOf(inspect.stats()).resolves.toEqualTypeOf<Answers<WorkerStats>>();
  expectTypeOf(inspect.registered({ workers: 'one' })).resolves.toEqualTypeOf<
    Answers<readonly RegisteredTask[]>
  >();
  expectTypeOf(inspect.conf({ workers: ['one'] })).resolves.toEqualTypeOf<Answers<WorkerConf>>();
  expectTypeOf(inspect.active()).resolves.toHaveProperty('missing').toEqualTypeOf<readonly string[]>();
});

test('what is told has types', () => {
  expectTypeOf(control.revoke(['a'], { terminate: true })).resolves.toEqualTypeOf<number>();
  expectTypeOf(control.setConcurrency({ min: 1, max: 2 }, { queue: 'q' })).resolves.toEqualTypeOf<
    Answers<Obeyed>
  >();
  expectTypeOf(control.shutdown({ jobsTimeout: '5s' })).resolves.toEqualTypeOf<Answers<ShuttingDown>>();
  expectTypeOf(control.rateLimit('q', '100/m')).resolves.toEqualTypeOf<void>();
});

test('what cannot be is refused', () => {
  // @ts-expect-error a rate has a unit
  void control.rateLimit('q', '100');
  // @ts-expect-error a queue is named
  void control.pause();
  // @ts-expect-error a time has a unit
  void inspect.ping({ timeout: 'soon' });
  // @ts-expect-error both bounds are given
  void control.setConcurrency({ min: 1 });
  // @ts-expect-error there is no such option
  void control.shutdown({ force: true });
  // @ts-expect-error answers are read only
  void inspect.ping().then((found) => found.missing.push('x'));
});
