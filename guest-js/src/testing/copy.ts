/** `value` as it arrives on the other side of the bridge. Not every test environment has `structuredClone`. */
export function copy<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}
