/** Something that happened, as `docker events` shows it. */
export type EngineEvent = {
  readonly type: 'container' | 'image' | 'network' | 'volume' | 'daemon';
  readonly action: string;
  readonly id: string;
  readonly attributes: Readonly<Record<string, string>>;
  /** Nanoseconds since the epoch. */
  readonly time: bigint;
};

export type Events = {
  emit(event: Omit<EngineEvent, 'time'>): void;
  /** What is remembered (the last 256, as the reference engine remembers), oldest first. */
  recent(): readonly EngineEvent[];
  subscribe(listener: (event: EngineEvent) => void): () => void;
  /** How many listen now. */
  listeners(): number;
};

const REMEMBERED = 256;

export const createEvents = (now: () => bigint): Events => {
  const recent: EngineEvent[] = [];
  const listeners = new Set<(event: EngineEvent) => void>();
  return {
    emit(partial) {
      const event = { ...partial, time: now() };
      recent.push(event);
      if (recent.length > REMEMBERED) recent.shift();
      for (const listener of listeners) listener(event);
    },
    recent: () => [...recent],
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    listeners: () => listeners.size,
  };
};
