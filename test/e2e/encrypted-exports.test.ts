/**
 * Exports that are encrypted on their way to the file: read back with the right key, refused whole with
 * another one or when anything of them is damaged. The keys and one of the files are made by the library
 * itself, as the `age` tool makes them.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { Decrypter, Encrypter, generateIdentity, identityToRecipient } from 'age-encryption';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { createMolten, type Molten } from '../support/molten.ts';
import { ROOT, startTestServer, type TestServer } from '../support/server.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

const DOCUMENTS = 3000;
/** Of the format: the pieces that are authenticated one by one. */
const PIECE_BYTES = 64 * 1024 + 16;
const PASSPHRASE = 'correct horse battery staple';

const directory = createTemporaryDirectory();
const keys: string[] = [];
let server: TestServer;
let molten: Molten;

const at = (name: string): string => join(directory.path, name);

function write(name: string, content: string | Uint8Array): string {
  writeFileSync(at(name), content, { mode: 0o600 });
  return at(name);
}

async function newKey(name: string): Promise<string> {
  const identity = await generateIdentity();
  keys.push(identity);
  write(`${name}.key`, `# a key\n${identity}\n`);
  return await identityToRecipient(identity);
}

/** How many documents a collection has; 0 when it is not there. */
async function countOf(collection: string): Promise<number> {
  const path = `/v1/collections/${collection}/documents:query`;
  const { body } = await server.asRoot('POST', path, { pageSize: 1, includeTotal: true });
  return Number(body.totalSize ?? 0);
}

beforeAll(async () => {
  server = await startTestServer();
  molten = createMolten(directory.path, { MOLTEN_PASSWORD: ROOT.password, MOLTEN_URL: server.url });
  await molten.json('login', server.url);
  const numbers = Array.from({ length: DOCUMENTS }, (_, n) => n);
  const lines = numbers.map((n) =>
    JSON.stringify({ _key: `k${String(n)}`, n, text: 'molten'.repeat(20) }),
  );
  const file = write('plain.ndjson', `${lines.join('\n')}\n`);
  await molten.json('docs', 'import', file, '-c', 'source');
  const recipient = await newKey('right');
  await newKey('wrong');
  write('recipients', `# who may read\n${recipient}\n\n${await newKey('second')}\n`);
  await molten.json(
    'docs',
    'export',
    'source',
    '--encrypt-to',
    recipient,
    '-o',
    at('e.ndjson.age'),
  );
}, 60_000);

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  directory[Symbol.dispose]();
});

describe('an encrypted export', () => {
  it('shows nothing, and is imported with the key, as it was', async () => {
    const bytes = readFileSync(at('e.ndjson.age'));
    expect(bytes.length).toBeGreaterThan(5 * PIECE_BYTES);
    expect(bytes.includes('molten'.repeat(20))).toBe(false);
    const answer = await molten.json<{ imported: number }>(
      ...['docs', 'import', at('e.ndjson.age'), '-c', 'copy', '--identity-file', at('right.key')],
    );
    expect(answer.imported).toBe(DOCUMENTS);
    const [{ stdout: before, code }, { stdout: after }] = await Promise.all([
      molten('docs', 'export', 'source'),
      molten('docs', 'export', 'copy'),
    ]);
    expect(code).toBe(0);
    const bodies = (text: string): unknown[] =>
      text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { _key: string; n: number; text: string })
        .map(({ _key, n, text: value }) => ({ _key, n, value }));
    expect(bodies(after)).toEqual(bodies(before));
  });

  it('is for each recipient of a file, also through standard input and output', async () => {
    const to = ['--encrypt-to', at('recipients')];
    const file = at('two.ndjson.age');
    await molten.json('docs', 'export', 'source', ...to, '-o', file);
    for (const name of ['right', 'second']) {
      const decrypter = new Decrypter();
      decrypter.addIdentity(readFileSync(at(`${name}.key`), 'utf8').split('\n')[1] ?? '');
      const text = await decrypter.decrypt(readFileSync(file), 'text');
      expect(text.trim().split('\n')).toHaveLength(DOCUMENTS);
    }
    const { code, stderr } = await molten.fed(
      readFileSync(file),
      ...['docs', 'import', '-', '--format', 'ndjson', '-c', 'piped'],
      ...['--identity-file', at('wrong.key'), '--identity-file', at('second.key')],
    );
    expect([code, stderr]).toEqual([0, '']);
    expect(await countOf('piped')).toBe(DOCUMENTS);
  });

  it('opens with its passphrase, and with no other', async () => {
    const file = at('passphrase.ndjson.age');
    const right = ['--passphrase-file', write('passphrase', `${PASSPHRASE}\n`)];
    await molten.json('docs', 'export', 'source', ...right, '-o', file);
    const wrong = ['--passphrase-file', write('other', 'another passphrase\n')];
    const refused = await molten('docs', 'import', file, '-c', 'opened', ...wrong);
    expect(refused.code).toBe(4);
    expect(refused.stderr).toContain('no key that was given opens the file');
    expect(await countOf('opened')).toBe(0);
    const { imported } = await molten.json<{ imported: number }>(
      ...['docs', 'import', file, '-c', 'opened', ...right],
    );
    expect(imported).toBe(DOCUMENTS);
  });

  it('takes what the age tool encrypts, JSON lists too', async () => {
    const encrypter = new Encrypter();
    encrypter.setScryptWorkFactor(10);
    encrypter.setPassphrase('short one');
    const file = write('list.json.age', await encrypter.encrypt('[{"_key":"a","n":1},{"n":2}]'));
    const key = ['--passphrase-file', write('short', 'short one')];
    const { imported } = await molten.json<{ imported: number }>(
      ...['docs', 'import', file, '-c', 'list', ...key],
    );
    expect(imported).toBe(2);
  });
});

describe('a damaged encrypted file', () => {
  const whole = (): Buffer => readFileSync(at('e.ndjson.age'));
  const flipped = (place: number): Buffer => {
    const bytes = whole();
    bytes.writeUInt8(bytes.readUInt8(place) ^ 1, place);
    return bytes;
  };
  const bodyStart = (): number => whole().indexOf('\n--- ') + 1 + 48 + 16;

  it('is refused whole, wherever the damage is, and nothing is imported', async () => {
    const [start, end] = [bodyStart(), whole().length];
    const damaged: Record<string, Buffer> = {
      'the first piece': flipped(start + 10),
      'a piece in the middle': flipped(start + 3 * PIECE_BYTES),
      'the last byte': flipped(end - 1),
      'the mac of the head': flipped(start - 30),
      'one piece too few': whole().subarray(0, start + 2 * PIECE_BYTES),
      'cut inside a piece': whole().subarray(0, end - 100),
      'cut inside the head': whole().subarray(0, start - 20),
      'pieces swapped': Buffer.concat([
        whole().subarray(0, start),
        whole().subarray(start + PIECE_BYTES, start + 2 * PIECE_BYTES),
        whole().subarray(start, start + PIECE_BYTES),
        whole().subarray(start + 2 * PIECE_BYTES),
      ]),
    };
    for (const [name, bytes] of Object.entries(damaged)) {
      const file = write('damaged.ndjson.age', bytes);
      const { code, stderr } = await molten(
        ...['docs', 'import', file, '-c', 'damaged', '--identity-file', at('right.key')],
      );
      expect([name, code]).toEqual([name, 9]);
      expect(stderr).toContain('damaged or cut off');
      expect(stderr).not.toContain('were imported');
    }
    expect(await countOf('damaged')).toBe(0);
  });

  it('says on standard input how much was imported before the damage', async () => {
    const start = bodyStart();
    const { code, stderr } = await molten.fed(
      whole().subarray(0, start + 4 * PIECE_BYTES),
      ...['docs', 'import', '-', '--format', 'ndjson', '--batch-size', '100', '-c', 'half'],
      ...['--identity-file', at('right.key')],
    );
    expect(code).toBe(9);
    const imported = Number(/; (\d+) documents were/.exec(stderr.replaceAll(/\s+/g, ' '))?.[1]);
    expect(imported).toBeGreaterThan(0);
    expect(await countOf('half')).toBe(imported);
  });

  it('is refused without a key, with the wrong one, and where nothing is encrypted', async () => {
    const importing = (file: string, ...flags: string[]): ReturnType<Molten> =>
      molten('docs', 'import', at(file), '-c', 'refused', ...flags);
    const none = await importing('e.ndjson.age');
    expect([none.code, none.stderr]).toEqual([2, expect.stringContaining('--identity-file')]);
    const wrong = await importing('e.ndjson.age', '--identity-file', at('wrong.key'));
    expect([wrong.code, wrong.stderr]).toEqual([4, expect.stringContaining('no key that was')]);
    const plain = await importing('plain.ndjson', '--identity-file', at('right.key'));
    expect([plain.code, plain.stderr]).toEqual([3, expect.stringContaining('not encrypted')]);
    expect(await countOf('refused')).toBe(0);
  });
});

describe('keys', () => {
  it('that are none are refused by their place, and no secret is shown', async () => {
    const [secret = ''] = keys;
    write('short-passphrase', 'too short');
    write('no-keys', '# nothing\n');
    write('mistyped', `${secret.slice(0, -3)}XYZ\n`);
    const exporting = (...flags: string[]): ReturnType<Molten> =>
      molten('docs', 'export', 'source', ...flags);
    const importing = (...flags: string[]): ReturnType<Molten> =>
      molten('docs', 'import', at('e.ndjson.age'), '-c', 'x', ...flags);
    const refusals = await Promise.all([
      exporting('--encrypt-to', secret),
      exporting('--encrypt-to', 'age1nothing'),
      exporting('--encrypt-to', at('no-keys')),
      exporting('--encrypt-to', at('right.key')),
      exporting('--passphrase-file', at('short-passphrase')),
      importing('--identity-file', at('mistyped')),
      importing('--identity-file', at('recipients')),
    ]);
    expect(refusals.map(({ code }) => code)).toEqual(refusals.map(() => 2));
    const said = refusals.map(({ stderr }) => stderr.replaceAll(/\s+›?\s*/g, ' ')).join('\n');
    expect(said).toContain('--encrypt-to has a secret key');
    expect(said).toContain('--encrypt-to is no age recipient');
    expect(said).toContain('has no keys');
    expect(said).toContain('at least 12 characters');
    expect(said).toContain('is no age key');
    expect(said).not.toContain(secret.slice(16, 40));
  });
});

describe('a disk that is full', () => {
  it.each(['plain', 'encrypted'])(
    'fails the export with what the system says: %s',
    async (kind) => {
      const flags = kind === 'plain' ? [] : ['--encrypt-to', at('recipients')];
      const { code, stderr } = await molten(
        'docs',
        'export',
        'source',
        ...flags,
        '-o',
        '/dev/full',
      );
      expect(code).toBe(1);
      expect(stderr).toContain('ENOSPC');
    },
  );
});

describe('a plain import', () => {
  it('of JSON that ends too early is no success', async () => {
    const file = write('cut.json', '[{"n":1},{"n":2}');
    const { code, stderr } = await molten('docs', 'import', file, '-c', 'cut');
    expect(code).toBe(1);
    expect(stderr).toContain('ends too early');
  });
});
