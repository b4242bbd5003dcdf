/** What is packed is what is needed: it is installed into an empty folder and used there. */
import { execFile } from 'node:child_process';
import { existsSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { describe, expect, it } from 'vitest';

import { startServe } from '../support/serve.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const INSTALL_MS = 180_000;
const QUIET = ['--no-audit', '--no-fund', '--loglevel=error'];
const EXPECTED =
  /^(package\.json|README\.md|LICENSE|dist\/api-reference\/standalone\.js|bin\/molten\.js|dist\/(cli|gen|src)\/.+\.(js|json|css|html|sql)|proto\/molten\/v1\/\w+\.proto)$/;

interface Packed {
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
}

async function pack(directory: string): Promise<Packed> {
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', directory, ...QUIET];
  const { stdout } = await run('npm', args, { cwd: ROOT });
  const packed = JSON.parse(stdout) as readonly Packed[] | Readonly<Record<string, Packed>>;
  return Object.values(packed)[0]!;
}

describe('the package', () => {
  it(
    'holds what is needed and nothing else, and runs where it is installed',
    async () => {
      using directory = createTemporaryDirectory();
      const cwd = directory.path;
      const { filename, files } = await pack(cwd);
      const paths = files.map(({ path }) => path);
      expect(paths.filter((path) => !EXPECTED.test(path))).toEqual([]);
      for (const wanted of ['bin/molten.js', 'dist/cli/bin/run.js', 'README.md', 'LICENSE']) {
        expect(paths).toContain(wanted);
      }

      writeFileSync(join(cwd, 'package.json'), '{"private": true, "type": "module"}');
      const install = ['install', '--prefer-offline', ...QUIET, join(cwd, filename)];
      await run('npm', install, { cwd });
      const { stdout } = await run('npx', ['--no', '--', 'molten', '--version'], { cwd });
      expect(stdout).toMatch(/^moltendb\/\d+\.\d+\.\d+ /);

      const client = "import('moltendb').then((m) => console.log(typeof m.createMoltenClient))";
      const used = await run(process.execPath, ['-e', client], { cwd });
      expect(used.stdout.trim()).toBe('function');

      // React is the application's own.
      symlinkSync(join(ROOT, 'node_modules', 'react'), join(cwd, 'node_modules', 'react'));
      const hook = "import('moltendb/react').then((m) => console.log(typeof m.useWatch))";
      const imported = await run(process.execPath, ['--input-type=module', '-e', hook], { cwd });
      expect(imported.stdout.trim()).toBe('function');

      const command = join(cwd, 'node_modules', 'moltendb', 'bin', 'molten.js');
      const args = ['--dev-mode', '--port', '0'];
      await using server = await startServe({ args, directory: cwd, command });
      expect((await fetch(`${server.url}/v1/health`)).status).toBe(200);
      for (const path of ['/docs', '/docs/reference.js']) {
        expect((await fetch(`${server.url}${path}`)).status).toBe(200);
      }
      // What the page was made of stays with those who build it.
      expect(existsSync(join(cwd, 'node_modules', '@scalar'))).toBe(false);
      expect(await server.stop('SIGTERM')).toBe(0);
    },
    INSTALL_MS,
  );
});
