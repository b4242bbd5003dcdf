/** A request that this API refuses by itself, in the words of the original. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly status: number;

  constructor(message: string, status = 400) {
    super(message);
    this.status = status;
  }
}

/** A refusal of the auth layer, whose bodies have no status. */
export class PlainRefusal extends Error {
  override readonly name = 'PlainRefusal';
  readonly status: number;

  constructor(message: string, status = 400) {
    super(message);
    this.status = status;
  }
}

/** The answer to a query that finds nothing: an error, as in the original. */
export function nothingFound(): Refusal {
  return new Refusal('No documents found', 404);
}
