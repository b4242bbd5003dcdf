/** Watching in React. `react` is the application's own. */
import { useEffect, useState, useSyncExternalStore } from 'react';

import type { MoltenClient } from './client.ts';
import {
  EMPTY_VIEW,
  openLiveDocuments,
  type LiveDocuments,
  type LiveQuery,
  type LiveView,
} from './live-documents.ts';

export type { LiveQuery, LiveView } from './live-documents.ts';

const NOBODY = (): (() => void) => () => undefined;

/**
 * The documents that `query` watches, kept up to date while the component is shown. A query that is equal
 * in JSON is the same one, so that it may be written in place. On the server it is always connecting.
 */
export function useWatch(client: Pick<MoltenClient, 'watch'>, query: LiveQuery): LiveView {
  const name = JSON.stringify(query);
  const [live, setLive] = useState<LiveDocuments>();
  useEffect(() => {
    const opened = openLiveDocuments(client, JSON.parse(name) as LiveQuery);
    setLive(opened);
    return () => {
      opened.close();
      setLive(undefined);
    };
  }, [client, name]);
  return useSyncExternalStore(
    live === undefined ? NOBODY : (listener) => live.subscribe(listener),
    () => live?.view() ?? EMPTY_VIEW,
    () => EMPTY_VIEW,
  );
}
