import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { Mails, MailWorker } from './mails.js';
import { WorkerModule } from './worker.module.js';

const nest = await NestFactory.createApplicationContext(WorkerModule, { logger: ['warn', 'error'] });
nest.enableShutdownHooks(); // SIGTERM closes it, and so the worker

const { worker } = nest.get(MailWorker);
console.log('the worker is', worker.state);

const mail = await nest.get(Mails).welcome('Ada');
console.log(await mail.get());

await nest.close();
console.log('the worker is', worker.state);
