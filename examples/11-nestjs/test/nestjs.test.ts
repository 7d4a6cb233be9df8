import 'reflect-metadata';
import { Test } from '@nestjs/testing';
import { expect, onTestFinished, test, vi } from 'vitest';
import { AppModule } from '../src/app.module.js';
import { Mails, MailWorker, Templates } from '../src/mails.js';

test('the worker runs as long as the application, with what Nest injects', async () => {
  vi.stubEnv('UMBEL_URL', ''); // the engine in memory
  onTestFinished(() => void vi.unstubAllEnvs());
  const module = await Test.createTestingModule({ imports: [AppModule] })
    .overrideProvider(Templates)
    .useValue({ render: (template: string, to: string) => `${to}: ${template}` })
    .compile();
  const { worker } = module.get(MailWorker);
  expect(worker.state).not.toBe('running');

  await module.init();
  expect(worker.state).toBe('running');
  const mail = await module.get(Mails).welcome('Ada');
  expect(await mail.get({ timeout: '10s' })).toEqual({ text: 'Ada: welcome' });

  await module.close();
  expect(worker.state).toBe('closed');
  expect(await worker.closed).toBe('closed');
});
