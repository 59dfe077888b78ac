import type { StoreSource } from "../../follow.js";
import type { WatchRecord } from "../../types.js";

/** The body of the records of `../records.ts`. */
export interface Body {
  text: string;
}

export type BodyRecord = WatchRecord<Body>;

/** What the same list is told in each framework. */
export interface ListProps {
  source: StoreSource<Body>;
  /** Called with the `rkey` of each row that is rendered. */
  rendered: (rkey: string) => void;
}

/** What can happen to a list on a page; neither lets a tick pass. */
export interface Shown {
  /** Shows it `count` times, from none on. */
  repeat(count: number): void | Promise<void>;
  /** Puts another one in its place by the framework's key. */
  renew(): void | Promise<void>;
  /** Gives it something else to show. */
  change(source: StoreSource<Body>): void | Promise<void>;
}

/** Shows a list in `target`, once. */
export type Show = (target: HTMLElement, props: ListProps) => Shown;
