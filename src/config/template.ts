import type { Option } from './option.ts';
import { OPTIONS } from './options.ts';

const COMMENT_CHARS = 98;

/**
 * A configuration file with every option and its default, each commented out: what is left so follows
 * later releases.
 */
export function writeTemplate(): string {
  return [
    '# Configuration of a MoltenDB server, for `molten serve --config`.',
    '#',
    '# Each line that is commented out shows a default, or, where there is none, the form of a value.',
    '# Secrets are best kept in files of their own, readable by the user of the server only.',
    ...OPTIONS.flatMap((option) => ['', ...wrap(help(option)), `# ${lineOf(option)}`]),
    '',
  ].join('\n');
}

function help({ help: text, reloads, type }: Option): string {
  const choices = type.kind === 'choice' ? ` One of: ${type.choices.join(', ')}.` : '';
  return `${text}${choices}${reloads === true ? ' Taken over on SIGHUP.' : ''}`;
}

function lineOf({ name, type, fallback, isSecret }: Option): string {
  if (isSecret === true) return `${name}-file = ""`;
  if (fallback === undefined) return `${name} = ""`;
  switch (type.kind) {
    case 'switch':
    case 'whole':
      return `${name} = ${fallback}`;
    case 'list':
      return `${name} = ${JSON.stringify(fallback === '' ? [] : fallback.split(','))}`;
    default:
      return `${name} = ${JSON.stringify(fallback)}`;
  }
}

function wrap(text: string): readonly string[] {
  const lines: string[] = [];
  let line = '#';
  for (const word of text.split(' ')) {
    if (line.length + 1 + word.length > COMMENT_CHARS) {
      lines.push(line);
      line = '#';
    }
    line += ` ${word}`;
  }
  return [...lines, line];
}
