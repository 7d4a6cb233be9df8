import { type AppEvent, createApp, type EventType } from '@umbel/core';
import { expectTypeOf, test } from 'vitest';

const app = createApp({ name: 'types' });

test('an event is told apart by its type', async () => {
  for await (const event of app.events()) {
    expectTypeOf(event).toEqualTypeOf<AppEvent>();
    expectTypeOf(event.position).toEqualTypeOf<string>();
    switch (event.type) {
      case 'progress':
        expectTypeOf(event.value).toEqualTypeOf<unknown>();
        expectTypeOf(event.task).toEqualTypeOf<string | undefined>();
        break;
      case 'retried':
        expectTypeOf(event.delayMs).toEqualTypeOf<number>();
        break;
      case 'run-finished':
        expectTypeOf(event.runId).toEqualTypeOf<string>();
        // @ts-expect-error a run is no job
        event.task;
        break;
      case 'worker-online':
      case 'worker-offline':
        expectTypeOf(event.worker.pid).toEqualTypeOf<number>();
        break;
      case 'gap':
        expectTypeOf(event.queue).toEqualTypeOf<string>();
        break;
      default:
        // @ts-expect-error only progress has a value
        event.value;
    }
  }
});

test('the types that are asked for are those that come', async () => {
  for await (const event of app.events({ types: ['failed', 'skipped', 'gap'] })) {
    expectTypeOf(event.type).toEqualTypeOf<'failed' | 'skipped' | 'gap'>();
    if (event.type === 'failed') expectTypeOf(event.reason).toEqualTypeOf<string>();
  }
  const types: EventType[] = ['failed'];
  for await (const event of app.events({ types })) expectTypeOf(event).toEqualTypeOf<AppEvent>();
});

test('what is no query does not compile', () => {
  // @ts-expect-error no such type
  app.events({ types: ['nothing'] });
  // @ts-expect-error not a number
  app.events({ from: 7 });
  // @ts-expect-error not a text
  app.events({ tasks: 'email.send' });
});
