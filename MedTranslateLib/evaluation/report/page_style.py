"""The style sheet of a report, calm on the screen and on paper; no input."""

from __future__ import annotations

STYLE_SHEET = """
:root { --ink: #1d232b; --muted: #5b6672; --line: #dfe3e8; --ground: #f6f7f9; --accent: #0072b2; --warn: #d55e00; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; color: var(--ink); background: white; font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue",
  Arial, sans-serif; }
main { max-width: 1168px; margin: 0 auto; padding: 24px 24px 64px; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 21px; margin: 48px 0 4px; padding-top: 16px; border-top: 2px solid var(--ink);
  overflow-wrap: anywhere; }
h3 { font-size: 16px; margin: 20px 0 8px; }
h4 { font-size: 15px; margin: 28px 0 0; }
p { margin: 4px 0 10px; max-width: 80ch; }
.note, figcaption, .made { color: var(--muted); font-size: 13px; }
.note { max-width: 110ch; margin-top: 6px; }
.synthetic { border: 1px solid var(--warn); border-left-width: 6px; padding: 8px 14px; margin: 18px 0; }
.synthetic strong { color: #a84900; }
nav { font-size: 14px; margin: 14px 0; }
nav a { color: var(--accent); margin-right: 18px; text-decoration: none; white-space: nowrap; }
nav a:hover { text-decoration: underline; }
.box { overflow-x: auto; width: fit-content; max-width: 100%; border: 1px solid var(--line); border-radius: 4px; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { padding: 6px 10px; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
tr:last-child > td, tr:last-child > th { border-bottom: 0; }
thead th { background: var(--ground); font-weight: 600; white-space: nowrap; }
tbody th { font-weight: 500; }
.scores { width: auto; line-height: 1.35; }
.scores th, .scores td { white-space: nowrap; }
.scores tbody th { position: sticky; left: 0; background: white; border-right: 1px solid var(--line); }
.scores td, .scores thead th + th { text-align: right; font-variant-numeric: tabular-nums; }
.scores small { display: block; color: var(--muted); font-size: 11.5px; }
.scores .void { color: var(--muted); }
.best { font-weight: 700; }
.second { text-decoration: underline; text-underline-offset: 3px; }
.problems td:first-child { overflow-wrap: normal; }
.failed td:first-child { color: var(--warn); font-weight: 700; }
.problems td { overflow-wrap: break-word; }
.problems td:last-child { min-width: 45%; overflow-wrap: anywhere; }
figure { margin: 18px 0 0; }
figure img { display: block; width: 100%; height: auto; }
figcaption { margin-bottom: 4px; overflow-wrap: anywhere; }
figcaption b { color: var(--ink); font-size: 14px; }
dt { font-weight: 600; margin-top: 10px; }
dd { margin: 0; max-width: 100ch; }
dd small, dt small { color: var(--muted); font-weight: 400; }
details { margin-top: 40px; border: 1px solid var(--line); border-radius: 4px; padding: 10px 16px; }
summary { cursor: pointer; font-weight: 600; }
.settings { table-layout: fixed; width: 1100px; max-width: 100%; }
.settings th { width: 30%; overflow-wrap: anywhere; }
.settings td { overflow-wrap: anywhere; font: 12.5px/1.5 ui-monospace, "DejaVu Sans Mono", Consolas, monospace; }
@page { size: A4; margin: 12mm; }
@media print {
  body { font-size: 10pt; }
  main { max-width: none; padding: 0; }
  nav { display: none; }
  .box { overflow: visible; }
  .scores { font-size: 8pt; }
  .scores th, .scores td { padding: 3px 5px; white-space: normal; }
  figure, tr, dt { break-inside: avoid; }
  h2, h3, h4, figcaption, dt { break-after: avoid; }
  thead { display: table-header-group; }
  details::details-content { content-visibility: visible; height: auto; }
}
"""
