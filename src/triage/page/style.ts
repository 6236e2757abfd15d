/** How the page looks: one set of colours for light and one for dark, each with a contrast of 4.5 to 1 for text. */
export const STYLE = `
:root { color-scheme: light dark; --back: light-dark(#fff, #14171a); --text: light-dark(#1b1f23, #e8eaed);
  --soft: light-dark(#57606a, #a4adb6); --line: light-dark(#d0d7de, #363c43); --panel: light-dark(#f6f8fa, #1d2126);
  --link: light-dark(#0550ae, #79b8ff); --failed: light-dark(#b3261e, #ff8a80); --warned: light-dark(#8a5300, #f0b44c);
  --passed: light-dark(#1a7f37, #6fdd8b); --s0: light-dark(#c4432b, #ff7b63); --s1: light-dark(#b07300, #f0b44c);
  --s2: light-dark(#7a3fb5, #c89bff); --s3: light-dark(#0b7a75, #4fd1c5); --s4: light-dark(#5b6670, #9aa4ae);
  --s5: light-dark(#1f6feb, #79b8ff); }
:root[data-theme="light"] { color-scheme: light; }
:root[data-theme="dark"] { color-scheme: dark; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 72rem; background: var(--back); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
header { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: start; justify-content: space-between; }
h1 { margin: 0; font-size: 1.5rem; }
h2 { margin: 2.5rem 0 .5rem; font-size: 1.25rem; border-bottom: 1px solid var(--line); }
h3 { margin: 0; font-size: 1rem; }
p { margin: .25rem 0; }
a { color: var(--link); }
code { font: .875em ui-monospace, monospace; unicode-bidi: isolate; }
.soft { color: var(--soft); }
.failed { color: var(--failed); font-weight: 600; }
.warned, .warning { color: var(--warned); font-weight: 600; }
.passed, .ok { color: var(--passed); }
.verdict { font-size: 1.125rem; }
.finding { margin: .75rem 0; padding: .75rem; background: var(--panel); border: 1px solid var(--line);
  border-radius: 6px; }
.finding ul, .legend { display: flex; flex-wrap: wrap; gap: 0 1.25rem; margin: .25rem 0; padding: 0; list-style: none; }
.scroll { overflow-x: auto; margin: .5rem 0 1.25rem; }
table { border-collapse: collapse; width: 100%; font-size: .9375rem; overflow-wrap: normal; }
caption { text-align: left; padding: .25rem 0; font-weight: 600; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
td { unicode-bidi: isolate; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
th button { all: unset; cursor: pointer; font-weight: 600; }
th button:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
th[aria-sort="ascending"] button::after { content: " ▲"; }
th[aria-sort="descending"] button::after { content: " ▼"; }
td code { white-space: nowrap; }
header button { font: inherit; color: inherit; background: var(--panel); border: 1px solid var(--line);
  border-radius: 6px; padding: .35rem .75rem; cursor: pointer; }
figure { margin: 1rem 0; }
figcaption { font-weight: 600; }
.swatch { display: inline-block; width: .75em; height: .75em; margin-right: .4em; border-radius: 2px; }
svg { display: block; width: 100%; min-width: 36rem; height: auto; }
svg text { fill: var(--soft); font: 11px system-ui, sans-serif; }
.grid { stroke: var(--line); }
.s0 { fill: var(--s0); background: var(--s0); }
.s1 { fill: var(--s1); background: var(--s1); }
.s2 { fill: var(--s2); background: var(--s2); }
.s3 { fill: var(--s3); background: var(--s3); }
.s4 { fill: var(--s4); background: var(--s4); }
.s5 { fill: var(--s5); background: var(--s5); }
`;
