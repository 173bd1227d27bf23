/**
 * The page's script as a text, which the page's policy allows by its hash: values at the pointer, sorting, filtering, and what is folded
 * opened for print. The page is complete without it.
 */
export const SCRIPT = `
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const tip = document.getElementById("tip");
function show(text, event) {
  tip.textContent = text;
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  let x = event.clientX + 14, y = event.clientY + 14;
  if (x + box.width > innerWidth - 8) x = event.clientX - box.width - 14;
  if (y + box.height > innerHeight - 8) y = event.clientY - box.height - 14;
  tip.style.left = Math.max(4, x) + "px";
  tip.style.top = Math.max(4, y) + "px";
}
function hide() { tip.hidden = true; }
function floats(base64) {
  return new Float32Array(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)).buffer);
}
function shown(x) {
  return (x < 0 ? "\\u2212" : "") + Number(Math.abs(x).toPrecision(4));
}
for (const svg of document.querySelectorAll("[data-matrix]")) {
  const matrix = data[svg.dataset.matrix];
  const values = matrix.layers.map((layer) => floats(layer.values));
  const cursor = svg.querySelector(".cursor");
  const rows = matrix.rows.length, columns = matrix.columns.length;
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const c = Math.floor(((event.clientX - box.left) / box.width) * columns), r = Math.floor(((event.clientY - box.top) / box.height) * rows);
    if (c < 0 || r < 0 || c >= columns || r >= rows) { cursor.setAttribute("visibility", "hidden"); hide(); return; }
    cursor.setAttribute("visibility", "visible");
    cursor.setAttribute("x", (100 * c) / columns + "%");
    cursor.setAttribute("y", (100 * r) / rows + "%");
    const lines = matrix.layers.map((layer, k) => layer.label + " " + shown(values[k][r * columns + c]));
    show([matrix.rows[r] + matrix.joint + matrix.columns[c], ...lines].join("\\n"), event);
  });
  svg.addEventListener("pointerleave", () => { cursor.setAttribute("visibility", "hidden"); hide(); });
}
document.addEventListener("pointerover", (event) => {
  const owner = event.target.closest && event.target.closest("[data-tip]");
  if (owner) { show(owner.dataset.tip, event); owner.addEventListener("pointerleave", hide, { once: true }); }
});
for (const table of document.querySelectorAll("table.clients")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const first = head.dataset.first || "descending";
      const other = first === "descending" ? "ascending" : "descending";
      const way = head.getAttribute("aria-sort") === first ? other : first;
      for (const one of heads) one.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", way);
      const sign = way === "ascending" ? 1 : -1;
      const value = (row) => {
        const cell = row.cells[column], sort = cell.dataset.sort;
        return sort === undefined ? cell.textContent : sort === "" ? null : Number(sort);
      };
      const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));
      const rows = [...body.rows].map((row) => [value(row), row]);
      rows.sort(([a], [b]) => (a === null || b === null ? (a === null) - (b === null) : sign * compare(a, b)));
      body.append(...rows.map(([, row]) => row));
    });
  });
  const filter = document.getElementById("filter");
  if (filter) filter.addEventListener("input", () => {
    const wanted = filter.value.trim().toLowerCase();
    for (const row of body.rows) row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
  });
}
addEventListener("beforeprint", () => { for (const one of document.querySelectorAll("details:not([open])")) { one.open = true; one.dataset.print = ""; } });
addEventListener("afterprint", () => { for (const one of document.querySelectorAll("[data-print]")) { one.open = false; delete one.dataset.print; } });
`;
