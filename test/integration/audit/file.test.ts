import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { checkAuditFile } from '../../../cli/lib/audit-file.ts';
import type { AuditRecord } from '../../../src/domain/audit/record.ts';
import { entry, listAll, openStore, recordMany, until } from './open-audit.ts';

/** The whole lines: the last may be just about to be written. */
function linesOf(path: string): AuditRecord[] {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as AuditRecord);
}

async function untilLines(path: string, count: number): Promise<AuditRecord[]> {
  return await until(() => {
    const lines = linesOf(path);
    return lines.length >= count ? lines : undefined;
  });
}

describe('the audit file', () => {
  it('gets every record, readable by its owner only', async () => {
    await using store = await openStore();
    const file = join(store.directory, 'audit.log');
    const audit = await store.open({ file });
    await recordMany(audit, 1000);
    expect(await untilLines(file, 1000)).toEqual(await listAll(audit));
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(await checkAuditFile(file)).toEqual({ checked: 1000, first: 1, last: 1000 });
  });

  it('goes on where it ended, has what was recorded last, and loses a torn line', async () => {
    await using store = await openStore();
    const file = join(store.directory, 'audit.log');
    const first = await store.open({ file });
    await recordMany(first, 5);
    await first[Symbol.asyncDispose]();
    expect(linesOf(file)).toHaveLength(5);
    const without = await store.open();
    await recordMany(without, 2);
    await without[Symbol.asyncDispose]();
    appendFileSync(file, '{"number":6,"ti');
    const second = await store.open({ file });
    await second.record(entry('again'));
    const lines = await untilLines(file, 8);
    expect(lines.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect((await checkAuditFile(file)).fault).toBeUndefined();
  });

  it('is made anew when it was renamed away, also over a restart', async () => {
    await using store = await openStore();
    const file = join(store.directory, 'audit.log');
    const audit = await store.open({ file });
    await recordMany(audit, 3);
    await untilLines(file, 3);
    renameSync(file, `${file}.1`);
    await audit.record(entry('after the rotation'));
    expect((await untilLines(file, 1)).map(({ number }) => number)).toEqual([4]);
    expect(linesOf(`${file}.1`)).toHaveLength(3);
    renameSync(file, `${file}.2`);
    await audit[Symbol.asyncDispose]();
    const again = await store.open({ file });
    await again.record(entry('after the restart'));
    expect((await untilLines(file, 1)).map(({ number }) => number)).toEqual([5]);
    expect(store.problems).toEqual([]);
  });

  it('holds nobody up when it cannot be written, and catches up when it can', async () => {
    await using store = await openStore();
    const file = join(store.directory, 'in-the-way');
    mkdirSync(file);
    const audit = await store.open({ file, fileRetryMs: 20 });
    await recordMany(audit, 3);
    await until(() => (store.problems.length > 0 ? true : undefined));
    expect(store.problems[0]).toContain('audit file');
    rmSync(file, { recursive: true });
    expect((await untilLines(file, 3)).map(({ number }) => number)).toEqual([1, 2, 3]);
  });

  it('never removes anything that is not its own', async () => {
    await using store = await openStore();
    const file = join(store.directory, 'of-somebody-else');
    appendFileSync(file, 'first\nlast, without a newline');
    const audit = await store.open({ file, fileRetryMs: 10 });
    await recordMany(audit, 1);
    await until(() => (store.problems.length > 2 ? true : undefined));
    expect(readFileSync(file, 'utf8')).toBe('first\nlast, without a newline');
  });

  it('shows by its links alone what was taken out, added or changed in order', async () => {
    await using store = await openStore();
    const file = join(store.directory, 'audit.log');
    const audit = await store.open({ file });
    await recordMany(audit, 5);
    const lines = (await untilLines(file, 5)).map((record) => JSON.stringify(record));
    const [one = '', two = '', three = '', four = ''] = lines;
    const cases = [
      [[one, three], 2],
      [[one, two, two], 3],
      [[one, three, two, four], 2],
      [[one, two.replace(/"previousHash":"../, '"previousHash":"zz'), three], 2],
      [[one, 'no record', two], 2],
    ] as const;
    for (const [texts, line] of cases) {
      const other = join(store.directory, 'other.log');
      rmSync(other, { force: true });
      appendFileSync(other, `${texts.join('\n')}\n`);
      expect((await checkAuditFile(other)).fault?.line, texts.join('\n')).toBe(line);
    }
  });
});
