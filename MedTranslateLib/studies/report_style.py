"""The style sheet of a study's report, calm on the screen and on paper; no input."""

from __future__ import annotations

STYLE_SHEET = """
:root { --ink: #1d232b; --muted: #5b6672; --line: #dfe3e8; --ground: #f6f7f9; --accent: #0072b2; --warn: #d55e00; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; color: var(--ink); background: white; font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue",
  Arial, sans-serif; }
main { max-width: 1128px; margin: 0 auto; padding: 24px 24px 64px; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 21px; margin: 48px 0 4px; padding-top: 16px; border-top: 2px solid var(--ink);
  overflow-wrap: anywhere; }
h3 { font-size: 16px; margin: 28px 0 8px; }
p { margin: 4px 0 10px; max-width: 84ch; }
.asked { font-size: 16px; }
.note, figcaption, .made { color: var(--muted); font-size: 13px; }
.note { max-width: 118ch; margin-top: 6px; }
.synthetic, .warning, .interim { border: 1px solid var(--warn); border-left-width: 6px; padding: 8px 14px;
  margin: 14px 0; max-width: none; }
.interim { background: #fff1e8; }
.synthetic strong, .interim strong { color: #a84900; }
nav { font-size: 14px; margin: 14px 0; }
nav a { color: var(--accent); margin-right: 18px; text-decoration: none; white-space: nowrap; }
nav a:hover { text-decoration: underline; }
.box { overflow-x: auto; width: fit-content; max-width: 100%; border: 1px solid var(--line); border-radius: 4px;
  margin: 12px 0; }
table { border-collapse: collapse; font-size: 13.5px; line-height: 1.35; }
th, td { padding: 6px 10px; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
tr:last-child > td, tr:last-child > th { border-bottom: 0; }
thead th { background: var(--ground); font-weight: 600; vertical-align: bottom; }
tbody th { font-weight: 500; max-width: 34ch; overflow-wrap: anywhere; }
.figures td { white-space: nowrap; }
.figures td:last-child { white-space: normal; }
td { font-variant-numeric: tabular-nums; overflow-wrap: break-word; max-width: 46ch; }
.all > * { background: var(--ground); font-weight: 600; }
.hash { font: 12.5px/1.5 ui-monospace, "DejaVu Sans Mono", Consolas, monospace; overflow-wrap: anywhere; }
figure { margin: 18px 0 0; }
figure img { display: block; max-width: 100%; height: auto; }
figcaption { margin-bottom: 6px; max-width: 118ch; }
figcaption b { color: var(--ink); font-size: 14px; }
dt { font-weight: 600; margin-top: 10px; }
dd { margin: 0; max-width: 110ch; }
li { max-width: 110ch; margin-bottom: 4px; }
@page { size: A4; margin: 14mm 12mm; }
@media print {
  body { font-size: 10pt; }
  main { max-width: none; padding: 0; }
  nav { display: none; }
  .box { overflow: visible; }
  table { font-size: 8pt; }
  th, td { padding: 3px 5px; }
  figure, tr, dt, li { break-inside: avoid; }
  h2, h3, figcaption, dt { break-after: avoid; }
  thead { display: table-header-group; }
}
"""

INTERIM_STYLE = """
h2::after { content: " (interim)"; color: var(--warn); }
@page { @top-right { content: "INTERIM: not all readers had finished"; color: #a84900; font: bold 9pt sans-serif; } }
"""
"""Marks every part on the screen and every page on paper."""
