/** By what users and keys are told apart in lists. */
interface Listed {
  readonly username?: string;
  readonly description?: string;
}

/** Finds the user of this name, or the key of this description. */
export function named(name: string): (one: Listed) => boolean {
  return ({ username, description }) => username === name || description === name;
}
