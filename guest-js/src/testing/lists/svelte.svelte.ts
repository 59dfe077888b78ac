import { flushSync, mount } from "svelte";
import Lists from "./Lists.svelte";
import type { Show } from "./shown.js";

export const show: Show = (target, props) => {
  let shown = $state.raw({ ...props, count: 1, round: 0 });
  mount(Lists, {
    target,
    props: {
      get shown() {
        return shown;
      },
    },
  });
  const change = (change: Partial<typeof shown>) => {
    shown = { ...shown, ...change };
    flushSync();
  };
  flushSync();
  return {
    repeat: (count) => change({ count }),
    renew: () => change({ round: shown.round + 1 }),
    change: (source) => change({ source }),
  };
};
