/** What a request carries. */
export interface RequestOptions {
  readonly body?: unknown;
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What came back. */
export interface TestResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /**
   * The parsed body; undefined when it is no JSON. Of any shape: what a test expects of it is what it
   * asserts, and a hostile answer has the shape of none of our types.
   */
  readonly body: any;
}

/** Sends a request, and reads all of its answer. A body that is a text is sent as it is, others as JSON. */
export type SendRequest = (
  method: string,
  path: string,
  options?: RequestOptions,
) => Promise<TestResponse>;

/** Requests to a server. */
export function requestsTo(url: string): SendRequest {
  return async (method, path, { body, token, headers = {} } = {}) => {
    const hasBody = body !== undefined;
    const response = await fetch(`${url}${path}`, {
      method,
      headers: {
        ...(hasBody ? { 'content-type': 'application/json' } : {}),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...headers,
      },
      ...(hasBody ? { body: typeof body === 'string' ? body : JSON.stringify(body) } : {}),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, body: parse(text) };
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
