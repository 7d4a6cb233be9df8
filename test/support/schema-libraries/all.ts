import { arktype } from './arktype.js';
import { byHand } from './by-hand.js';
import { effect } from './effect.js';
import { joi } from './joi.js';
import type { Library } from './library.js';
import { typebox } from './typebox.js';
import { valibot } from './valibot.js';
import { yupLibrary } from './yup.js';
import { zod } from './zod.js';
import { zodMini } from './zod-mini.js';

export const LIBRARIES: readonly Library[] = [
  zod,
  zodMini,
  valibot,
  arktype,
  effect,
  typebox,
  joi,
  yupLibrary,
  byHand,
];
