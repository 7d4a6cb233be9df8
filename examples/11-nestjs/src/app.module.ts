import { Module } from '@nestjs/common';
import { Mails, Templates } from './mails.js';
import { UmbelModule } from './umbel.module.js';

/** What controllers and handlers use. */
@Module({ imports: [UmbelModule], providers: [Templates, Mails], exports: [Templates, Mails] })
export class AppModule {}
