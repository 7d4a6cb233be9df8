import { Global, Inject, Injectable, Module, type OnApplicationShutdown } from '@nestjs/common';
import { type App, createApp } from '@umbel/core';
import { memory } from '@umbel/testing';

export const UMBEL = Symbol('the Umbel app');

@Injectable()
class Closing implements OnApplicationShutdown {
  constructor(@Inject(UMBEL) private readonly app: App) {}

  async onApplicationShutdown(): Promise<void> {
    await this.app.close(); // the last of all: what ends before may still send calls
  }
}

/** The app, for all modules that send calls or run them. */
@Global()
@Module({
  providers: [
    {
      provide: UMBEL,
      useFactory: () => createApp({ name: 'nestjs', connection: process.env.UMBEL_URL || memory() }),
    },
    Closing,
  ],
  exports: [UMBEL],
})
export class UmbelModule {}
