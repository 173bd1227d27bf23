/** The report's section on ensemble weights. */
import * as format from "../../../shared/base/format.js";
import { INK } from "../colours.js";
import { legend, matrixFigure } from "../figures/matrix.js";
import { html, type Markup } from "../markup.js";
import { at } from "../types.js";
import type { View } from "../views.js";
import { base64, folded, type MatrixData } from "./values.js";

export function weightsSection(view: View, data: Record<string, MatrixData>): Markup | "" {
  const { report, order } = view;
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
  const figure = matrixFigure({
    id: "weights",
    label: `Weight of ${members.length} members for ${order.length} clients`,
    rows: members.length,
    columns: order.length,
    images: [{ name: "weight", positions: values.map((x) => x / top), scale: INK }],
    rowGroups: members.map(({ group }) => group),
    columnGroups: order.map((i) => view.groupOf[i] ?? 0),
    rowNames: members.map((member) => member.name),
    square: false,
  });
  return folded(
    "weights",
    "Ensemble weights",
    `${format.counted(members.length, "member")}, ${format.counted(order.length, "client")}`,
    html`<p class="lead">Weight of each member in each client's mixture, fitted on the client's validation rows and shrunk towards its own group.${total > 0 && html` ${format.percent(own / total, 0)} % of all weight is on the client's own group.`}</p>
${figure}${legend("weight", INK, ["0", format.significant(top, 2)])}<p class="note">Clients in columns, in the order of the groups; members in rows. All numbers are in clients.csv.</p>`,
  );
}
