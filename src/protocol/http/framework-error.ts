/** The code of an error that Fastify raised; empty for any other. */
export function frameworkCodeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}
