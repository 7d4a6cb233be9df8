import { chainRow } from './chain-row.mjs';

export const row = chainRow(500, 4, { size: { celery: 500, celeryQuick: 500 } });
