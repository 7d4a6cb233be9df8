import { defineTask } from '@umbel/core';
import { z } from 'zod';

export const sendMail = defineTask({
  name: 'mail.send',
  input: z.object({ to: z.string(), template: z.enum(['welcome', 'goodbye']) }),
  output: z.object({ text: z.string() }),
});
