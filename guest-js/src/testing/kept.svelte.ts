/** What Svelte makes of an object that is state. */
export function state<T extends object>(value: T): T {
  const kept = $state(value);
  return kept;
}
