import {
  Inject,
  Injectable,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
  type OnModuleInit,
} from '@nestjs/common';
import type { App, AppWorker } from '@umbel/core';
import { sendMail } from './contracts.js';
import { UMBEL } from './umbel.module.js';

@Injectable()
export class Templates {
  async render(template: string, to: string): Promise<string> {
    return `${template}, ${to}`;
  }
}

/** Sends calls; this is what a controller would be given. */
@Injectable()
export class Mails {
  constructor(@Inject(UMBEL) private readonly app: App) {}

  welcome(to: string) {
    return this.app.bind(sendMail).delay({ to, template: 'welcome' });
  }
}

/** Runs them, with what Nest injects. */
@Injectable()
export class MailWorker implements OnModuleInit, OnApplicationBootstrap, OnModuleDestroy {
  readonly worker: AppWorker;

  constructor(
    @Inject(UMBEL) private readonly app: App,
    @Inject(Templates) private readonly templates: Templates,
  ) {
    this.worker = app.worker({ handleSignals: false }); // Nest's shutdown hooks decide
  }

  onModuleInit(): void {
    this.app.implement(sendMail, async ({ to, template }) => ({
      text: await this.templates.render(template, to),
    }));
  }

  async onApplicationBootstrap(): Promise<void> {
    await this.worker.start(); // once the handlers of all modules are there
  }

  async onModuleDestroy(): Promise<void> {
    await this.worker.close({ timeout: '25s' }); // jobs that still run then are given back, for another worker
  }
}
