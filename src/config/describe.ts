import { CONFIG_OPTION, OPTIONS, variableOf } from './options.ts';
import type { Option } from './option.ts';

/** The reference page of all options, in Markdown. */
export function describeOptions(): string {
  const rows = [...OPTIONS, CONFIG_OPTION].map(rowOf);
  return [
    '# Configuration',
    '',
    'Options of `molten serve`. Each is a flag (`--port`), a variable (`MOLTENDB_PORT`) and a key of the TOML file that',
    '`--config` names (`port = 1538`). A flag wins over a variable, a variable over the file, the file over the',
    'default. An unknown flag, variable or key is an error; all faults are told at once.',
    '',
    'Secrets may come from a file: `--jwt-secret-file`, `MOLTENDB_JWT_SECRET_FILE` or `jwt-secret-file` in the file. A secret',
    'given as a flag shows in the list of processes, and is warned about.',
    '',
    '| option | value | default | meaning |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
    '## What refuses to start',
    '',
    '- `--jwt-secret` missing, shorter than 32 bytes, or a placeholder.',
    '- `--root-password` missing or weak (weak is only warned about with `--dev-mode`).',
    '- `--host` beyond this machine without `--cert` and `--key`, unless `--allow-cleartext`; never with `--dev-mode`.',
    '- `--cert` without `--key`, or the reverse; files that cannot be read or are not PEM.',
    '- `--encryption-key` that is empty, or given together with `--disable-encryption`.',
    '- An encryption key that does not open the store, or none for an encrypted store. Nothing is changed then.',
    '',
  ].join('\n');
}

function rowOf(option: Option): string {
  const { name, fallback = '', isSecret, help } = option;
  const shown = isSecret === true ? 'none; a secret' : fallback === '' ? 'none' : `\`${fallback}\``;
  const cells = [`\`--${name}\`<br>\`${variableOf(name)}\``, valueOf(option), shown, help];
  return `| ${cells.join(' | ')} |`;
}

function valueOf({ type }: Option): string {
  switch (type.kind) {
    case 'switch':
      return '`true` or `false`';
    case 'choice':
      return type.choices.map((choice) => `\`${choice}\``).join(' or ');
    case 'whole':
      return `${String(type.min)} to ${String(type.max)} ${type.unit}`;
    case 'list':
      return 'texts, with commas';
    case 'path':
      return 'path';
    case 'text':
      return 'text';
  }
}
