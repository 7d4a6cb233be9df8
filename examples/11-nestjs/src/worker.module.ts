import { Module } from '@nestjs/common';
import { AppModule } from './app.module.js';
import { MailWorker } from './mails.js';

/** The root of a program with a worker. Nest destroys it before what it imports: jobs end before services disconnect. */
@Module({ imports: [AppModule], providers: [MailWorker] })
export class WorkerModule {}
