/** Each row of the table of refusals, as an operator meets it: a server that does not start. */
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { REFUSALS } from '../../src/config/refusals.ts';
import {
  certificate,
  expiredCertificate,
  futureCertificate,
  otherPrivateKey,
  privateKey,
} from '../support/certificate.ts';
import { BASE, REFUSED_EDGES, SECRET } from '../support/refused-edges.ts';
import { REFUSED_SERVICES } from '../support/refused-services.ts';
import { refusedStart } from '../support/serve.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

/** The command without the part that compiles a clone, which another user may not do. */
const COMPILED = fileURLToPath(new URL('../../dist/cli/bin/run.js', import.meta.url));
const NOBODY = 65_534;

const CASES = [...REFUSED_EDGES, ...REFUSED_SERVICES];

describe('molten serve', () => {
  // Whoever tried to listen here would end with another exit code.
  let taken: Server;
  beforeAll(async () => {
    taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '0.0.0.0', resolve));
  });
  afterAll(() => taken.close());

  it('has a case here for each row of the table', () => {
    expect(new Set(CASES.map(({ row }) => row))).toEqual(new Set(REFUSALS.map(({ name }) => name)));
  });

  it.each(CASES)(
    'does not start: $row, $says',
    async ({ args, variables = BASE, dotEnv, says }) => {
      using directory = createTemporaryDirectory();
      writeFiles(directory.path);
      if (dotEnv !== undefined)
        writeFileSync(join(directory.path, '.env'), dotEnv, { mode: 0o644 });
      const { port } = taken.address() as { readonly port: number };
      const all = ['--db-path', 'store', ...args, '--port', String(port)];
      const started = { args: withoutRepeats(all), variables, directory: directory.path };
      const { code, stderr } = await refusedStart(started);
      expect(stderr.replaceAll(/\s*›\s*|\s+/g, ' ')).toContain(says);
      expect(code).toBe(2);
    },
  );

  it('takes a file of root that its group may read, as another user of that group', () => {
    using directory = createTemporaryDirectory();
    const files = ['440', '640', '444', '460'].map((mode) => {
      const file = join(directory.path, mode);
      writeFileSync(file, SECRET);
      chmodSync(file, Number.parseInt(mode, 8));
      return file;
    });
    // Only root can give files to root. Anybody else owns these, and may not share them.
    const isRoot = process.getuid?.() === 0;
    const user = isRoot ? { uid: NOBODY, gid: NOBODY } : {};
    if (isRoot) {
      chmodSync(directory.path, 0o755);
      for (const file of files) chownSync(file, 0, NOBODY);
    }
    const found = files.map((file) => {
      const args = [
        COMPILED,
        'config',
        'check',
        '--db-path',
        '/dev/null/x',
        '--jwt-secret-file',
        file,
      ];
      const env = { PATH: process.env['PATH'], HOME: directory.path };
      const { stderr } = spawnSync(process.execPath, args, {
        ...{ ...user, cwd: directory.path, env, encoding: 'utf8' },
      });
      expect(stderr).toContain('fault: --db-path');
      return /chmod \d+/.exec(stderr)?.[0];
    });
    const no = isRoot ? 'chmod 640' : 'chmod 600';
    const yes = isRoot ? undefined : no;
    expect(found).toEqual([yes, yes, no, no]);
  });
});

function writeFiles(directory: string): void {
  const write = (name: string, text: string, mode: number): void => {
    writeFileSync(join(directory, name), text);
    chmodSync(join(directory, name), mode);
  };
  mkdirSync(join(directory, 'store'));
  write('open.txt', 'a key that others read', 0o644);
  write('group.txt', 'a key that a group reads', 0o440);
  write('open.toml', 'encryption-key = "a key that others read"\n', 0o644);
  write('open-key.pem', privateKey, 0o644);
  write('cert.pem', certificate, 0o600);
  write('expired.pem', expiredCertificate, 0o600);
  write('future.pem', futureCertificate, 0o600);
  write(
    'damaged.pem',
    certificate.replace('MII', 'MXX').replaceAll('CERTIFICATE', 'ANYTHING'),
    0o600,
  );
  write('key.pem', privateKey, 0o600);
  write('other-key.pem', otherPrivateKey, 0o600);
}

/** A flag may be given once: the case's own wins. */
function withoutRepeats(args: readonly string[]): readonly string[] {
  return args.lastIndexOf('--db-path') > 0 ? args.slice(2) : args;
}
