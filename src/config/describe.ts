import { CONFIG_OPTION, OPTIONS, variableOf } from './options.ts';
import type { Option } from './option.ts';
import { REFUSALS } from './refusals.ts';

/** The reference page of all options, in Markdown. */
export function describeOptions(): string {
  const rows = [...OPTIONS, CONFIG_OPTION].map(rowOf);
  return [
    '# Configuration',
    '',
    'Options of `molten serve`. Each is a flag (`--port`), a variable (`MOLTENDB_PORT`), a line of `.env` in the working',
    'directory (`MOLTENDB_PORT=1538`) and a key of the TOML file that `--config` names (`port = 1538`). A flag wins over a',
    'variable, a variable over `.env`, `.env` over the file, the file over the default. An unknown flag, variable or key is an',
    'error; all faults are told at once. Other variables in `.env` are left alone.',
    '',
    'Secrets may come from a file: `--jwt-secret-file`, `MOLTENDB_JWT_SECRET_FILE` or `jwt-secret-file` in the file. A secret',
    'given as a flag shows in the list of processes, and is warned about.',
    '',
    '## Secrets in Vault',
    '',
    'A secret may also be named in a HashiCorp Vault: `--jwt-secret-vault moltendb/prod#jwt-secret` is the field `jwt-secret`',
    'of the secret `moltendb/prod` in the KV secrets engine, version 2, that `--vault-mount` names. `--vault-address` says where Vault',
    'is, `--vault-auth` how the server signs in. It is read once, at the start, in at most three attempts; what changes there',
    'is taken over with a restart. A token that was made for it by AppRole or Kubernetes is revoked when all is read. What',
    'cannot be read ends the start, and the message names the path and what mends it. The commands that open a store',
    'themselves take the key from there like this: `MOLTENDB_ENCRYPTION_KEY=$(vault kv get -mount=secret -field=encryption-key moltendb/prod)`.',
    '',
    '## Options',
    '',
    '`molten config init` writes a file with every option, `molten config check` says what is wrong with a configuration, and',
    '`molten config explain` shows what each option is and where that comes from.',
    '',
    '| option | value | default | meaning |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
    '## What changes without a restart',
    '',
    'On SIGHUP the server reads its configuration again and takes over what has changed of these; a connection that is',
    'open keeps its certificate. Other changes are logged as waiting for a restart: they size what is opened once, such as',
    'listeners, threads, caches and the store; ceilings of queries are changed while it runs by `molten query-limits`. A configuration that could not start a',
    'server changes nothing, and is logged.',
    '',
    ...OPTIONS.filter(({ reloads }) => reloads).map(({ name }) => `- \`--${name}\``),
    '',
    '## What refuses to start',
    '',
    'No port is opened, and the exit code is 2.',
    '',
    ...REFUSALS.map(({ when }) => `- ${when}`),
    '',
    'An encryption key that does not open the store, or none for an encrypted store, ends the start with the exit code 1.',
    'Nothing is changed then.',
    '',
  ].join('\n');
}

function rowOf(option: Option): string {
  const { name, fallback = '', isSecret, help, formerName: former } = option;
  const shown = isSecret === true ? 'none; a secret' : fallback === '' ? 'none' : `\`${fallback}\``;
  const variables = [variableOf(name), ...(former === undefined ? [] : [variableOf(former)])];
  const names = [`--${name}`, ...variables].map((text) => `\`${text}\``).join('<br>');
  const cells = [names, valueOf(option), shown, help];
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
    case 'url':
      return 'URL';
  }
}
