import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { systemClock } from '../../../src/platform/clock.ts';
import { importLog } from '../../../src/server/recovery.ts';
import { openEmbeddedStore } from '../../../src/storage/embedded/open.ts';
import { reasonOf } from '../../contract/support.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';
import { PASSWORD } from './scene.ts';

describe('the log of MoltenDB 0.x', () => {
  const LINES = [
    { cmd: 'INSERT', collection: 'c', key: 'a', value: { n: 1, _v: 1 }, _t: 1000 },
    { cmd: 'TX_BEGIN', collection: '', key: 'tx1', value: null, _t: 2000 },
    { cmd: 'INSERT', collection: 'c', key: 'a', value: { n: 2, _v: 2 }, _t: 2000 },
    { cmd: 'INSERT', collection: 'c', key: 'b', value: { n: 1 }, _t: 2000 },
    { cmd: 'TX_COMMIT', collection: '', key: 'tx1', value: null, _t: 2000 },
    { cmd: 'DELETE', collection: 'c', key: 'b', value: null, _t: 3000 },
    { cmd: 'INSERT', collection: 'gone', key: 'x', value: {}, _t: 3000 },
    { cmd: 'DROP', collection: 'gone', key: '', value: null, _t: 4000 },
    { cmd: 'INDEX', collection: 'c', key: 'n', value: null, _t: 4000 },
    { cmd: 'TX_BEGIN', collection: '', key: 'tx2', value: null, _t: 5000 },
    { cmd: 'INSERT', collection: 'c', key: 'never', value: {}, _t: 5000 },
  ];

  it('becomes a store with its past', async () => {
    using directory = createTemporaryDirectory();
    const file = join(directory.path, 'my.log');
    writeFileSync(file, LINES.map((line) => JSON.stringify(line)).join('\n'));
    const out = join(directory.path, 'out');
    const { notes, checked } = await importLog({ file, out, password: PASSWORD });
    expect(notes).toHaveLength(2);
    expect(checked.problems).toEqual([]);
    await using engine = await openEmbeddedStore({
      ...{ directory: out, clock: systemClock, password: PASSWORD },
    });
    const [document] = await engine.get('c', ['a', 'b', 'never']);
    expect(document).toMatchObject({ version: 2n, body: '{"n":2}', createdAtMs: 1000 });
    const earlier = await engine.sequenceAt(1500);
    const [before] = await engine.get('c', ['a'], { atSequence: earlier });
    expect(before?.body).toBe('{"n":1}');
    const both = await engine.get('c', ['a', 'b'], { atSequence: await engine.sequenceAt(2000) });
    expect(both.map((one) => one?.body)).toEqual(['{"n":2}', '{"n":1}']);
  });

  it('leaves what a killed import left to the next one, which clears it away', async () => {
    using directory = createTemporaryDirectory();
    const file = join(directory.path, 'my.log');
    writeFileSync(file, LINES.map((line) => JSON.stringify(line)).join('\n'));
    const out = join(directory.path, 'out');
    mkdirSync(`${out}.partial`);
    writeFileSync(join(`${out}.partial`, 'moltendb.sqlite'), 'half of a file');
    const { checked } = await importLog({ file, out, password: undefined });
    expect(checked.problems).toEqual([]);
    expect(readdirSync(directory.path).sort()).toEqual(['my.log', 'out']);
    expect(readdirSync(out)).toEqual(['moltendb.sqlite']);
  });

  it('is refused when it is damaged or encrypted, and nothing stays', async () => {
    using directory = createTemporaryDirectory();
    const file = join(directory.path, 'my.log');
    const out = join(directory.path, 'out');
    for (const [text, reason] of [
      ['{"cmd":"INSERT"}\nnonsense', 'CORRUPTION_DETECTED'],
      ['\u0000\u0001binary', 'CORRUPTION_DETECTED'],
      ['null', 'CORRUPTION_DETECTED'],
      ['{"cmd":"INSERT","collection":"c","key":"a","value":{}}\n[]', 'CORRUPTION_DETECTED'],
      ['{"cmd":"ENC","collection":"x","key":"y","value":"AAAA","_t":1}', 'ARGUMENT_INVALID'],
    ] as const) {
      writeFileSync(file, text);
      expect(await reasonOf(importLog({ file, out, password: undefined }))).toBe(reason);
      expect(readdirSync(directory.path)).toEqual(['my.log']);
    }
  });
});
