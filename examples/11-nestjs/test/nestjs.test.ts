import 'reflect-metadata';
import type { OnModuleDestroy } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { Mails, MailWorker, Templates } from '../src/mails.js';
import { WorkerModule } from '../src/worker.module.js';

beforeEach(() => {
  vi.stubEnv('UMBEL_URL', ''); // the engine in memory
  onTestFinished(() => void vi.unstubAllEnvs());
});

/** A service that disconnects when its module is destroyed, as those for databases do. */
class Library implements OnModuleDestroy {
  readonly asked: Promise<void>;
  isConnected = true;
  #tellAsked = () => {};
  readonly #answer: Promise<void>;

  /** @param answer Until when a rendering takes. */
  constructor(answer: Promise<void>) {
    this.#answer = answer;
    this.asked = new Promise((resolve) => {
      this.#tellAsked = resolve;
    });
  }

  async render(template: string, to: string): Promise<string> {
    this.#tellAsked();
    await this.#answer;
    if (!this.isConnected) throw new Error('the library is not connected');
    return `${to}: ${template}`;
  }

  onModuleDestroy(): void {
    this.isConnected = false;
  }
}

test.each(['beside the other services', 'in a global module'])(
  'a job that runs while the application closes still has its services: %s',
  async (place) => {
    let answer = () => {};
    const library = new Library(
      new Promise((resolve) => {
        answer = resolve;
      }),
    );
    const libraryModule = {
      module: class LibraryModule {},
      global: true,
      providers: [{ provide: Library, useValue: library }],
    };
    const isGlobal = place === 'in a global module';
    const module = await Test.createTestingModule({
      imports: isGlobal ? [libraryModule, WorkerModule] : [WorkerModule],
    })
      .overrideProvider(Templates)
      .useValue(isGlobal ? { render: library.render.bind(library) } : library)
      .compile();
    await module.init();
    const { worker } = module.get(MailWorker);
    const mail = await module.get(Mails).welcome('Ada');
    const got = mail.get({ timeout: '50s' });
    await library.asked;

    const closed = module.close();
    await vi.waitFor(() => expect(worker.state).toBe('closing'));
    answer();
    expect(await got).toEqual({ text: 'Ada: welcome' });
    await closed;
    expect([worker.state, library.isConnected]).toEqual(['closed', false]);
  },
);

test('the worker runs as long as the application, with what Nest injects', async () => {
  const module = await Test.createTestingModule({ imports: [WorkerModule] })
    .overrideProvider(Templates)
    .useValue({ render: async (template: string, to: string) => `${to}: ${template}` })
    .compile();
  const { worker } = module.get(MailWorker);
  expect(worker.state).not.toBe('running');

  await module.init();
  expect(worker.state).toBe('running');
  const mail = await module.get(Mails).welcome('Ada');
  expect(await mail.get({ timeout: '50s' })).toEqual({ text: 'Ada: welcome' });

  await module.close();
  expect(worker.state).toBe('closed');
  expect(await worker.closed).toBe('closed');
});
