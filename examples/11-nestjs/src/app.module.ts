import { Module } from '@nestjs/common';
import { Mails, MailWorker, Templates } from './mails.js';
import { UmbelModule } from './umbel.module.js';

@Module({ imports: [UmbelModule], providers: [Templates, Mails, MailWorker], exports: [Mails] })
export class AppModule {}
