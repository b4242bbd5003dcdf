import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A server and the token for it. */
export interface Profile {
  readonly url: string;
  readonly token?: string;
  readonly username?: string;
}

/** Profiles by name, in a file only its owner can read. */
export interface Profiles {
  find(name: string): Profile | undefined;
  save(name: string, profile: Profile): void;
  /** Forgets the token, keeps the address. */
  forgetToken(name: string): void;
}

const FILE_NAME = 'profiles.json';
const PRIVATE_FILE = 0o600;
const PRIVATE_DIRECTORY = 0o700;

/** Opens the profiles in a directory, such as `~/.config/molten`. */
export function openProfiles(directory: string): Profiles {
  const file = join(directory, FILE_NAME);

  function read(): Record<string, Profile> {
    try {
      return JSON.parse(readFileSync(file, 'utf8')) as Record<string, Profile>;
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {};
      throw new Error(`'${file}' cannot be read; mend or remove it`, { cause: error });
    }
  }

  function find(name: string): Profile | undefined {
    const profiles = read();
    return Object.hasOwn(profiles, name) ? profiles[name] : undefined;
  }

  function write(profiles: Record<string, Profile>): void {
    mkdirSync(directory, { recursive: true, mode: PRIVATE_DIRECTORY });
    // Its own for each command, so that two at once do not write into each other's.
    const temporary = `${file}.${randomUUID()}.tmp`;
    try {
      const text = `${JSON.stringify(profiles, undefined, 2)}\n`;
      writeFileSync(temporary, text, { flag: 'wx', mode: PRIVATE_FILE });
      renameSync(temporary, file);
    } finally {
      rmSync(temporary, { force: true });
    }
  }

  return {
    find,
    save(name, profile) {
      write({ ...read(), [name]: profile });
    },
    forgetToken(name) {
      const found = find(name);
      if (found !== undefined) write({ ...read(), [name]: { url: found.url } });
    },
  };
}
