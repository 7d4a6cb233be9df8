import { Module } from '@nestjs/common';
import { Mails, MailWorker, Templates } from './mails.js';
import { UmbelModule } from './umbel.module.js';

/** What controllers and handlers use. */
@Module({ imports: [UmbelModule], providers: [Templates, Mails], exports: [Templates, Mails] })
export class AppModule {}

/**
 * The root of a program that runs a worker. Nest destroys the root before the modules that it imports, one after the other,
 * so the jobs end before any of their services disconnects, whatever module it is in.
 */
@Module({ imports: [AppModule], providers: [MailWorker] })
export class WorkerModule {}
