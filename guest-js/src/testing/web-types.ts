// The public types of the web client, as an app that was written for it knows them.

export interface WebRecord<Value> {
  uri: string;
  cid: string | null;
  did: string;
  collection: string;
  rkey: string;
  value: Value;
  time_us: number;
  space?: string;
  optimistic?: "pending" | "failed";
  optimisticError?: Error;
}

export type WebStatus = "idle" | "connecting" | "snapshot" | "live" | "reconnecting" | "closed";

export interface WebSnapshot<Value> {
  records: readonly Readonly<WebRecord<Value>>[];
  status: WebStatus;
  error: Error | null;
}

export interface WebCache {
  read(key: string): Promise<WebRecord<unknown>[] | null>;
  write(key: string, records: WebRecord<unknown>[]): Promise<void>;
}

export interface WebOptions<Value> {
  url: string;
  transport?: "sse" | "ws";
  mintTicket?: string | (() => Promise<string>);
  compareRecords?: (a: Readonly<WebRecord<Value>>, b: Readonly<WebRecord<Value>>) => number;
  reconnect?: boolean;
  cache?: WebCache;
  cacheKey?: string;
  cacheMaxRecords?: number;
  logger?: {
    log?: (...line: unknown[]) => void;
    warn?: (...line: unknown[]) => void;
    error?: (...line: unknown[]) => void;
  };
}

export interface WebOptimistic<Value> {
  rkey: string;
  did: string;
  collection?: string;
  value: Value;
  time_us?: number;
  uri?: string;
}

export interface WebStore<Value> {
  readonly records: readonly Readonly<WebRecord<Value>>[];
  readonly status: WebStatus;
  readonly error: Error | null;
  subscribe(listener: (snapshot: WebSnapshot<Value>) => void): () => void;
  start(): void;
  stop(): void;
  addOptimistic(record: WebOptimistic<Value>): void;
  markFailed(rkey: string, err: unknown): void;
  removeOptimistic(rkey: string): void;
}

export type WebCreateWatchStore = <Value = Record<string, unknown>>(
  options: WebOptions<Value>,
) => WebStore<Value>;
