import { useSyncExternalStore } from 'react'

/** A value that changes as a whole, for parts of the page to look at. */
export class Store<T> {
  private readonly listeners = new Set<() => void>()
  constructor(private state: T) {}

  get = () => this.state

  set(change: Partial<T>) {
    this.state = { ...this.state, ...change }
    for (const listener of this.listeners) listener()
  }

  subscribe = (listener: () => void) => {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }
}

/** Renders again when what select picks is another value. */
export function useStore<T, S>(store: { get(): T; subscribe(listener: () => void): () => void }, select: (state: T) => S): S {
  return useSyncExternalStore(store.subscribe, () => select(store.get()))
}
