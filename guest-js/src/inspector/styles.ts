/** The colours, light first. An app may set each of them: `--watch-inspector-bg`, … */
const COLOURS: Record<string, [light: string, dark: string]> = {
  bg: ["#fbfcfe", "#171a21"],
  raised: ["#ffffff", "#1f232c"],
  chosen: ["#e4ebfa", "#2a3347"],
  line: ["#d9dee8", "#323846"],
  text: ["#1d222c", "#e6e9f0"],
  muted: ["#5b6475", "#9aa4b6"],
  accent: ["#2f5fd0", "#8fb0ff"],
  good: ["#157a4a", "#58cf96"],
  busy: ["#9a6200", "#f0b45a"],
  bad: ["#b3261e", "#ff8f85"],
};

const variables = (dark: 0 | 1) =>
  Object.entries(COLOURS)
    .map(([name, values]) => `--${name}: var(--watch-inspector-${name}, ${values[dark]});`)
    .join("\n");

const CSS = `
:host {
  ${variables(0)}
  display: block;
  height: 100%;
  min-height: 16rem;
  color-scheme: light dark;
  color: var(--text);
  font: 13px/1.4 var(--watch-inspector-font, system-ui, sans-serif);
}
@media (prefers-color-scheme: dark) {
  :host { ${variables(1)} }
}
:host([hidden]) { display: none; }
:host([docked]) {
  position: fixed;
  z-index: 2147483000;
  inset: auto 0 0 0;
  height: min(25rem, 70vh);
  border-top: 1px solid var(--line);
  box-shadow: 0 -8px 30px rgb(0 0 0 / 0.16);
}
*, *::before, *::after { box-sizing: border-box; }
h2, h3, h4, p, ul, ol, dl, dd, dt { margin: 0; padding: 0; list-style: none; font: inherit; }
[hidden] { display: none !important; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: -2px; }

.panel { display: flex; flex-direction: column; height: 100%; background: var(--bg); }
.head {
  display: flex; flex: none; align-items: center; gap: 0.75rem;
  min-height: 2.6rem; padding: 0 0.5rem 0 0.9rem;
  border-bottom: 1px solid var(--line);
}
.head h2 { font-weight: 650; }
.summary { flex: 1; min-width: 0; overflow: hidden; color: var(--muted); text-overflow: ellipsis; white-space: nowrap; font-variant-numeric: tabular-nums; }

button, input { font: inherit; color: inherit; }
button {
  padding: 0.2rem 0.65rem;
  border: 1px solid var(--line); border-radius: 6px;
  background: var(--raised);
  font-size: 12px; font-weight: 550; white-space: nowrap;
  cursor: pointer;
}
button:hover:not(:disabled) { border-color: var(--muted); }
button:disabled { opacity: 0.45; cursor: default; }
button[data-on] { border-color: var(--busy); color: var(--busy); }
.close { border-color: transparent; background: none; color: var(--muted); font-size: 17px; line-height: 1; }
:host(:not([closable])) .close { display: none; }

.trouble { flex: none; padding: 0.45rem 0.9rem; border-bottom: 1px solid var(--line); max-height: 6rem; overflow-y: auto; color: var(--bad); overflow-wrap: anywhere; }
.body {
  display: grid; flex: 1; min-height: 0;
  grid-template-columns: minmax(10rem, 12.5rem) minmax(0, 1fr) minmax(0, 1.12fr);
}
.body > * { min-height: 0; min-width: 0; overflow-y: auto; }
.body > * + * { border-left: 1px solid var(--line); }

.watches { padding: 0.35rem; }
.watches [role="option"] {
  --tone: var(--muted);
  display: grid; grid-template-columns: 0.5rem minmax(0, 1fr) auto; column-gap: 0.55rem; align-items: baseline;
  padding: 0.4rem 0.6rem;
  border-radius: 7px;
  cursor: default;
}
.watches [aria-selected="true"] { background: var(--chosen); }
.watches:focus-visible { outline: none; }
.watches:focus-visible [aria-selected="true"] { outline: 2px solid var(--accent); outline-offset: -2px; }
[data-status="live"] { --tone: var(--good) !important; }
[data-status="connecting"], [data-status="snapshot"], [data-status="reconnecting"] { --tone: var(--busy) !important; }
[data-status="closed"] { --tone: var(--bad) !important; }
.dot { width: 0.5rem; height: 0.5rem; border-radius: 50%; background: var(--tone); align-self: center; }
.name { overflow: hidden; font-weight: 600; text-overflow: ellipsis; white-space: nowrap; }
.rate { color: var(--muted); font-size: 12px; font-variant-numeric: tabular-nums; }
.whose, .more { grid-column: 2 / -1; overflow: hidden; color: var(--muted); font-size: 12px; text-overflow: ellipsis; white-space: nowrap; }

.detail { padding: 0.7rem 0.9rem 0.9rem; }
.detail > * + * { margin-top: 0.6rem; }
.detail header { display: flex; align-items: baseline; gap: 0.5rem; }
h3 { font-size: 15px; font-weight: 650; overflow-wrap: anywhere; }
.number { color: var(--muted); font-size: 12px; font-variant-numeric: tabular-nums; }
.deeds { display: flex; flex-wrap: wrap; gap: 0.4rem; }
.error { color: var(--bad); overflow-wrap: anywhere; }
.flow { display: flex; align-items: center; gap: 0.75rem; }
.sparkline { flex: 1; min-width: 0; height: 36px; border-bottom: 1px solid var(--line); }
.sparkline .line { fill: none; stroke: var(--accent); stroke-width: 1.5; vector-effect: non-scaling-stroke; stroke-linejoin: round; }
.sparkline .area { fill: var(--accent); opacity: 0.14; }
.now { flex: none; min-width: 6.2rem; text-align: right; font-variant-numeric: tabular-nums; }
.groups { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.8rem, 1fr)); gap: 0.9rem 1rem; }
.groups dl:last-child { grid-column: 1 / -1; }
.fact { display: grid; grid-template-columns: 5rem minmax(0, 1fr); gap: 0.5rem; padding: 0.08rem 0; }
dt { color: var(--muted); }
dd { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; font-variant-numeric: tabular-nums; user-select: text; -webkit-user-select: text; }

.events { display: grid; grid-template-rows: minmax(0, 1fr) minmax(0, 1fr); overflow: hidden !important; }
.events section { display: flex; flex-direction: column; min-height: 0; }
.events section + section { border-top: 1px solid var(--line); }
h4 { flex: none; padding: 0.5rem 0.9rem 0.3rem; font-weight: 600; }
.log { position: relative; }
.tools { position: absolute; top: 0.35rem; right: 0.5rem; left: 4rem; display: flex; justify-content: flex-end; align-items: center; gap: 0.4rem; }
.tools input { min-width: 0; width: 8.5rem; padding: 0.18rem 0.5rem; border: 1px solid var(--line); border-radius: 6px; background: var(--raised); font-size: 12px; }
.told { order: -1; overflow: hidden; color: var(--muted); font-size: 12px; text-overflow: ellipsis; white-space: nowrap; }
.log h4 { padding-bottom: 0.55rem; }
.events ol { flex: 1; min-height: 0; padding: 0 0.9rem 0.6rem; overflow-y: auto; font-size: 12px; user-select: text; -webkit-user-select: text; }
.events li { --tone: var(--muted); display: grid; grid-template-columns: max-content 5.3rem minmax(0, 1fr); column-gap: 0.6rem; padding: 0.05rem 0; }
.log li { grid-template-columns: max-content max-content 7rem minmax(0, 1fr); }
time { color: var(--muted); font-variant-numeric: tabular-nums; }
.kind { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; color: var(--tone); font-weight: 600; }
.words { min-width: 0; overflow-wrap: anywhere; }
[data-kind="live"], [data-kind="connected"], [data-kind="created"], [data-kind="mended"] { --tone: var(--good) !important; }
[data-kind="connecting"], [data-kind="waiting"], [data-kind="fallback"], [data-kind="left-out"], [data-kind="skipped"] { --tone: var(--busy) !important; }
[data-kind="failed"], [data-kind="disconnected"], [data-kind="purged"], [data-kind="error"], [data-kind="deleted"] { --tone: var(--bad) !important; }

@media (max-width: 820px) {
  .body { grid-template-columns: minmax(9rem, 12rem) minmax(0, 1fr); grid-template-rows: minmax(0, 1.2fr) minmax(0, 1fr); }
  .body > .watches { grid-row: 1 / -1; }
  .events { border-top: 1px solid var(--line); grid-template: minmax(0, 1fr) / minmax(0, 1fr) minmax(0, 1fr); }
  .events section + section { border-top: 0; border-left: 1px solid var(--line); }
}
@media (max-width: 560px) {
  .body { display: block; overflow-y: auto; }
  .body > *, .events { display: block; border-left: 0; border-top: 1px solid var(--line); overflow: visible !important; }
}
`;

let sheet: CSSStyleSheet | undefined;

/** Gives a shadow tree its style. A sheet that is constructed is no inline style: a strict policy lets it be. */
export function dress(root: ShadowRoot): void {
  try {
    if (!sheet) {
      sheet = new CSSStyleSheet();
      sheet.replaceSync(CSS);
    }
    root.adoptedStyleSheets = [sheet];
  } catch {
    // Webviews before 2023 have none. Those need a policy that allows inline styles.
    const style = document.createElement("style");
    style.textContent = CSS;
    root.append(style);
  }
}
