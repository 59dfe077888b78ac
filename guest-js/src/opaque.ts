/**
 * An object of a class stays what it is in Svelte's `$state` and in Solid's stores, and one that says so in Vue's refs and
 * in Pinia. Behind a proxy its records would be others than those that the store compares.
 */
class Opaque {
  get __v_skip(): boolean {
    return true;
  }
}

/** `handle` as an object that no framework wraps. */
export function opaque<T extends object>(handle: T): T {
  return Object.setPrototypeOf(handle, Opaque.prototype) as T;
}
