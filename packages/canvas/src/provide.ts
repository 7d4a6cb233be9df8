/** Gives the signatures of `@umbel/core` what they cannot know themselves, once this package is imported. */
import { provideCanvas } from '@umbel/core/internal';
import { pipe } from './chain.js';
import { partOf } from './part.js';
import { planned } from './submit.js';

provideCanvas({
  pipe: (first, next) => pipe(partOf(first, 'What is piped'), next),
  plan: planned,
});
