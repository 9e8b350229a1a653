#include "harness/report/html/parts.h"

namespace samebits {

Html page_style() {
  return Html::style(R"css(
:root {
  --paper: #ffffff; --ink: #1c2430; --soft: #586374; --line: #d5dbe3; --panel: #f5f7fa;
  --good: #1a6f3c; --bad: #b3261e; --link: #1f5fbf;
  --equal: #cdd6e1; --some: #f0a23c; --all: #c4391d; --only: #6b4fb8;
  --d1: #fbd98a; --d2: #f5a94f; --d3: #e2683f; --d4: #b92f6b; --d5: #64197a; --d6: #000000;
  --s0: #1f5fbf; --s1: #c4391d; --s2: #1a7f5a; --s3: #8a4fbd; --s4: #9a6a00; --s5: #00788c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14181f; --ink: #e4e9f0; --soft: #9ba7b8; --line: #343c49; --panel: #1c222c;
    --good: #6fd69a; --bad: #ff8a7e; --link: #86b4ff;
    --equal: #303948; --some: #e79a35; --all: #ff6a4d; --only: #a78bff;
    --d1: #94803a; --d2: #c99132; --d3: #f0803f; --d4: #ff7fa8; --d5: #f9b4ff; --d6: #ffffff;
    --s0: #86b4ff; --s1: #ff7d63; --s2: #5fd0a0; --s3: #c9a0ff; --s4: #e0b050; --s5: #5cc8dc;
  }
}
@media print {
  :root {
    --paper: #ffffff; --ink: #000000; --soft: #444444; --line: #bbbbbb; --panel: #ffffff;
    --good: #0d5c2c; --bad: #a01810; --equal: #d8dde4; --some: #f0a23c; --all: #c4391d;
    --only: #6b4fb8; --d1: #fbd98a; --d2: #f5a94f; --d3: #e2683f; --d4: #b92f6b; --d5: #64197a;
    --d6: #000000; --s0: #1f5fbf; --s1: #c4391d; --s2: #1a7f5a; --s3: #8a4fbd; --s4: #9a6a00;
    --s5: #00788c;
  }
}
* { box-sizing: border-box; }
html { color-scheme: light dark; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 1rem 1.25rem 4rem; }
h1 { font-size: 1.5rem; margin: .5rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.25rem 0 .25rem; padding-top: .75rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1rem 0 .25rem; overflow-wrap: anywhere; }
h4 { font-size: .9rem; margin: 1rem 0 .25rem; }
p { margin: .4rem 0; overflow-wrap: anywhere; }
code { font: .88rem/1.4 ui-monospace, monospace; background: var(--panel); padding: .1rem .35rem;
  border-radius: 3px; overflow-wrap: anywhere; }
a { color: var(--link); }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; padding: 0;
  margin: 1.25rem 0 0; font-size: .88rem; }
.note { color: var(--soft); font-size: .88rem; }
.headline { font-size: 1.05rem; }
.badge { display: inline-block; padding: .15rem .7rem; border: 2px solid; border-radius: 4px; }
.good { color: var(--good); } .bad { color: var(--bad); font-weight: 600; }
.failure { border-left: 4px solid var(--bad); background: var(--panel); margin: 1rem 0;
  padding: .25rem 1rem .5rem; }
.failure ul { margin: .2rem 0; padding-left: 1.2rem; }
.next { font-weight: 600; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: .4rem 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; white-space: pre-wrap; }
.scroll { overflow-x: auto; margin: .4rem 0;  /* a shade at the side that goes on */
  background: linear-gradient(to right, var(--paper) 30%, transparent) left / 3rem 100% local,
    linear-gradient(to left, var(--paper) 30%, transparent) right / 3rem 100% local,
    linear-gradient(to right, var(--line), transparent) left / .8rem 100% scroll,
    linear-gradient(to left, var(--line), transparent) right / .8rem 100% scroll;
  background-repeat: no-repeat; }
table { border-collapse: collapse; font-size: .88rem; }
th, td { text-align: left; padding: .2rem .9rem .2rem 0; vertical-align: top;
  border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
details { margin: .6rem 0; } summary { cursor: pointer; font-weight: 600; }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
figure { margin: 1rem 0 1.5rem; } figcaption { font-weight: 600; overflow-wrap: anywhere; }
svg { display: block; width: 100%; height: 100%; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; padding: 0;
  margin: .4rem 0; font-size: .88rem; }
.swatch { display: inline-block; width: .85em; height: .85em; margin-right: .4em;
  background: var(--c); vertical-align: -.05em; }
.cells path { stroke: var(--c); stroke-width: 1; fill: none; shape-rendering: crispEdges; }
.frame, .halo { fill: none; stroke: var(--ink); stroke-width: 2; vector-effect: non-scaling-stroke; }
.halo { stroke: var(--paper); stroke-width: 6; }
.equal { --c: var(--equal); } .some { --c: var(--some); } .all { --c: var(--all); }
.only { --c: var(--only); }
.d1 { --c: var(--d1); } .d2 { --c: var(--d2); } .d3 { --c: var(--d3); } .d4 { --c: var(--d4); }
.d5 { --c: var(--d5); } .d6 { --c: var(--d6); }
.s0 { --c: var(--s0); } .s1 { --c: var(--s1); } .s2 { --c: var(--s2); } .s3 { --c: var(--s3); }
.s4 { --c: var(--s4); } .s5 { --c: var(--s5); }
.wall { --c: var(--s0); } .processor { --c: var(--s2); }
.line { fill: none; stroke: var(--c); stroke-width: 2.5; stroke-linecap: round;
  stroke-linejoin: round; vector-effect: non-scaling-stroke; }
.dots { fill: none; stroke: var(--c); stroke-width: 7; stroke-linecap: round;
  vector-effect: non-scaling-stroke; }
.line.s1 { stroke-dasharray: 7 4; } .line.s2 { stroke-dasharray: 2 5; }
.line.s3 { stroke-dasharray: 10 4 2 4; } .line.s4 { stroke-dasharray: 14 5; }
.line.s5 { stroke-dasharray: 5 3 2 3 2 3; }
.plot { display: grid; grid-template-columns: minmax(6.5rem, max-content) 1fr; gap: .2rem .6rem;
  font-size: .82rem; color: var(--soft); }
.plot .y { display: flex; flex-direction: column; justify-content: space-between;
  text-align: right; font-variant-numeric: tabular-nums; }
.plot .canvas { height: 9rem; border-left: 1px solid var(--line);
  border-bottom: 1px solid var(--line); padding: 4px; }
.plot svg { overflow: visible; }
.plot .x { grid-column: 2; display: flex; justify-content: space-between; }
.spread { display: grid; grid-template-columns: minmax(5rem, max-content) minmax(0, 1fr);
  gap: 2px .6rem; font-size: .75rem; }
.spread .labels { display: flex; flex-direction: column; overflow: hidden; }
.spread .labels span { height: 14px; line-height: 14px; font-size: .7rem; overflow: hidden; white-space: nowrap;
  text-overflow: ellipsis; text-align: right; color: var(--soft); }
.spread .labels .differs { color: var(--ink); }
.spread .labels .born { color: var(--bad); font-weight: 700; }
.spread .canvas { height: calc(var(--rows) * 14px); background: var(--panel); }
.band { display: flex; gap: 1px; color: var(--soft); }
.band span { min-width: 0; overflow: hidden; white-space: nowrap; text-overflow: ellipsis;
  border-left: 1px solid var(--soft); padding-left: 3px; }
.map { width: min(100%, calc(var(--columns) * 6px)); min-width: min(100%, 12rem);
  aspect-ratio: var(--columns) / var(--rows); max-height: 34rem; margin: .5rem 0;
  border: 1px solid var(--line); }
.strips { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .3rem .8rem;
  align-items: center; font-size: .82rem; }
.strips .canvas { height: 1.1rem; border: 1px solid var(--line); }
.calls { position: relative; }
.calls svg { position: absolute; inset: 0; } .calls .line { stroke-width: 1.5; }
.calls .layer { display: flex; height: 4.2rem; align-items: center; position: relative; }
.calls .box { flex: 1 1 0; min-width: 0; height: 70%; margin: 0 .4rem; padding: .2rem .5rem;
  background: var(--panel); border: 1px solid var(--line); border-left: 5px solid var(--c);
  border-radius: 3px; font-size: .78rem; line-height: 1.35; overflow: hidden; }
.calls .box strong, .calls .box span { display: block; overflow: hidden; white-space: nowrap;
  text-overflow: ellipsis; } .calls .box span { color: var(--soft); }
.bars { width: 40%; min-width: 10rem; } .name { white-space: nowrap; } .bars svg { height: 1.3rem; }
.bars path { stroke: var(--c); stroke-width: 7; } .bars .range { --c: var(--ink); stroke-width: 1.5; }
@media (max-width: 34rem) {
  main { padding: .5rem .75rem 3rem; }
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .4rem; }
  .spread { grid-template-columns: 7.5rem minmax(0, 1fr); }
}
@media print {
  nav { display: none; } main { max-width: none; padding: 0; } body { font-size: 10pt; }
  figure, .failure, tr { break-inside: avoid; } h2, h3 { break-after: avoid; }
  .scroll { overflow: visible; } table { font-size: 7.5pt; } .bars { width: 25%; }
  td, th { white-space: normal; overflow-wrap: break-word; padding-right: .5rem; }
  details::details-content { content-visibility: visible; }
}
)css");
}

}  // namespace samebits
