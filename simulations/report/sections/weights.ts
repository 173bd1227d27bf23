/** The report's section on ensemble weights. */
import * as format from "../../../shared/base/format.js";
import { SEQUENTIAL } from "../colours.js";
import { legend, matrixFigure } from "../figures.js";
import { html, type Markup } from "../markup.js";
import { at } from "../types.js";
import { groupName, type View } from "../views.js";
import { base64, type MatrixData } from "./values.js";

export function weightsSection(view: View, data: Record<string, MatrixData>): Markup | "" {
  const { report, order, bounds } = view;
  const members = report.members;
  if (members.length === 0) return "";
  const names = order.map((i) => report.clients[i] ?? "");
  const values = new Float64Array(members.length * order.length);
  let own = 0;
  let total = 0;
  names.forEach((client, c) => {
    const weights = at(report.weights, client);
    const group = view.groupOf[order[c] ?? -1];
    members.forEach((member, m) => {
      const weight = weights?.[m] ?? 0;
      values[m * order.length + c] = weight;
      total += weight;
      if (member.group === group) own += weight;
    });
  });
  const top = Math.max(1, ...values);
  data.weights = {
    rows: members.map((member) => member.name),
    columns: names,
    joint: " for ",
    layers: [{ label: "weight", values: base64(values) }],
  };
  const cell = Math.max(2, Math.min(36, Math.floor(880 / Math.max(1, order.length))));
  const figure = matrixFigure({
    id: "weights",
    label: `Weight of ${members.length} members for ${order.length} clients`,
    rows: members.length,
    columns: order.length,
    images: [{ name: "weight", positions: values.map((x) => x / top), scale: SEQUENTIAL }],
    rowBounds: Array.from({ length: members.length + 1 }, (_, m) => m),
    columnBounds: bounds,
    rowBands: members.map(() => ""),
    columnBands: bounds.slice(0, -1).map((_, g) => groupName(g)),
    rowNames: members.map((member) => member.name),
    cellWidth: cell,
    cellHeight: 22,
    blocks: false,
  });
  return html`<section id="weights"><h2>Ensemble weights</h2>
<p class="lead">Weight of each member in each client's mixture, fitted on the client's validation rows and shrunk towards its own group.${total > 0 && html` ${format.percent(own / total, 0)} % of all weight is on the client's own group.`}</p>
<figure><div class="scroll">${figure}</div>${legend("weight", SEQUENTIAL, ["0", format.significant(top, 2)])}<figcaption>Clients in columns, in the order of the groups; members in rows.</figcaption></figure></section>`;
}
