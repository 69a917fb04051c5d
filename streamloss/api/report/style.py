"""The style of a report: light and dark as the reader's system is, narrow and wide, and on paper."""

STYLE = """
:root { color-scheme: light dark; --text: #1c2024; --faint: #60666d; --page: #fff; --line: #d9dde2; --soft: #eef1f4;
  --accent: #1f6feb; --accent-soft: #9ec5fb; --warn: #9a4b00; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e8eb; --faint: #9aa2ab; --page: #14171a; --line: #333a41;
  --soft: #1e2328; --accent: #58a6ff; --accent-soft: #2d5486; --warn: #f0a95b; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 64rem; padding: 1.5rem; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; border-top: 1px solid var(--line);
  padding-top: 1rem; } h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
p { margin: .3rem 0; } .faint, .note, figure p { color: var(--faint); } .warning { color: var(--warn); }
.figures { display: flex; flex-wrap: wrap; gap: .5rem 2.5rem; margin: .5rem 0; }
.figures div { display: flex; flex-direction: column; } .figures b { font-size: 1.6rem; font-weight: 600;
  font-variant-numeric: tabular-nums; } .figures span { color: var(--faint); font-size: .85rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: var(--faint); vertical-align: bottom; }
th, td { padding: .2rem .6rem .2rem 0; border-bottom: 1px solid var(--line); }
.number { text-align: right; white-space: nowrap; }
td.chart, th.chart { width: 30%; min-width: 8rem; padding: 0 .8rem; }
td.chart svg { display: block; width: 100%; height: 1.5rem; overflow: visible; }
figure { margin: 1rem 0; } figcaption { font-weight: 600; margin-bottom: .5rem; }
.plot { display: grid; grid-template-columns: 4rem 1fr; grid-template-rows: 14rem 1.4rem; padding-right: 1.5rem; }
.square .plot { max-width: 26rem; grid-template-rows: 20rem 1.4rem; }
.plot svg { width: 100%; height: 100%; overflow: visible; border-bottom: 1px solid var(--line); }
.side, .ticks { position: relative; font-size: .8rem; color: var(--faint); font-weight: 400; }
.plot .ticks { grid-column: 2; } th .ticks { height: 1.2rem; }
.side span { position: absolute; right: .5rem; transform: translateY(50%); }
.ticks span { position: absolute; top: .15rem; transform: translateX(-50%); white-space: nowrap; }
svg * { vector-effect: non-scaling-stroke; } .bar { fill: var(--accent); } rect.faint { fill: var(--accent-soft); }
.grid { stroke: var(--line); } .reference { stroke: var(--faint); stroke-dasharray: 4 3; }
.interval { stroke: var(--accent-soft); stroke-width: 6; }
.curve { fill: none; stroke: var(--accent); stroke-width: 2; }
.dot { stroke: var(--accent); stroke-width: 8; stroke-linecap: round; }
.matrix td { text-align: right; padding: .2rem .4rem; }
details { margin: .5rem 0; } summary { cursor: pointer; color: var(--faint); }
@media (max-width: 40rem) { body { padding: 1rem; } .optional { display: none; } td.chart, th.chart { min-width: 6rem; }
  .plot { grid-template-columns: 3rem 1fr; grid-template-rows: 11rem 1.4rem; padding-right: .8rem; } }
@media print { :root { color-scheme: light; } body { max-width: none; padding: 0; } h2 { break-after: avoid; }
  figure, tr { break-inside: avoid; } }
"""
"""CSS without anything that a page would have to load."""
