/** The report's section on cost per method. */
import * as format from "../../../shared/base/format.js";
import { bar, key } from "../figures.js";
import { html, type Markup } from "../markup.js";
import type { MethodName } from "../types.js";
import { METHOD_NAMES, type View } from "../views.js";

export function costSection(view: View): Markup | "" {
  const { report } = view;
  const methods = (Object.keys(METHOD_NAMES) as MethodName[]).filter((method) => report.cost[method] !== undefined);
  if (methods.length === 0) return "";
  const columns = [
    { name: "Computation", of: "flops", show: format.flops },
    { name: "Sent by clients", of: "bytesUp", show: format.bytes },
    { name: "Sent to clients", of: "bytesDown", show: format.bytes },
    { name: "Time", of: "wallSeconds", show: format.duration },
  ] as const;
  const largest = columns.map((column) => Math.max(...methods.map((method) => report.cost[method]?.[column.of] ?? 0)));
  return html`<section id="cost"><h2>Cost</h2>
<p class="lead">Operations counted from the graphs, sketching and sweeps included; bytes on the wire.</p>
<div class="scroll"><table><thead><tr><th>MethodName</th>${columns.map((column) => html`<th class="left" colspan="2">${column.name}</th>`)}</tr></thead><tbody>${methods.map(
    (method) =>
      html`<tr><td>${key(method)} ${METHOD_NAMES[method]}</td>${columns.map((column, c) => {
        const value = report.cost[method]?.[column.of] ?? 0;
        return html`<td>${column.show(value)}</td><td class="left">${bar(largest[c] ? value / largest[c] : 0, method)}</td>`;
      })}</tr>`,
  )}</tbody></table></div></section>`;
}
