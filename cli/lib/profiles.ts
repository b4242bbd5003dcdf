import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
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

  function write(profiles: Record<string, Profile>): void {
    mkdirSync(directory, { recursive: true, mode: PRIVATE_DIRECTORY });
    const temporary = `${file}.tmp`;
    writeFileSync(temporary, `${JSON.stringify(profiles, undefined, 2)}\n`, { mode: PRIVATE_FILE });
    chmodSync(temporary, PRIVATE_FILE);
    renameSync(temporary, file);
  }

  return {
    find: (name) => (Object.hasOwn(read(), name) ? read()[name] : undefined),
    save(name, profile) {
      write({ ...read(), [name]: profile });
    },
    forgetToken(name) {
      const profiles = read();
      const found = profiles[name];
      if (found !== undefined) write({ ...profiles, [name]: { url: found.url } });
    },
  };
}
