/**
 * Reports in a browser: of three sizes on a phone, a small and a large screen, light and dark; of other kinds on a phone and a large
 * dark screen; folded and unfolded. axe-core takes seconds per look, tens of them on the largest page: it looks
 * at everything unfolded, at each width of the middle page and at one of the others. `PICTURES=DIR` keeps what the browser shows.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { Browser } from "playwright-core";
import { scatter, seriesPlot } from "../../../simulations/report/figures/plots.js";
import { renderReport } from "../../../simulations/report/html.js";
import { writeFindings } from "../../../simulations/scenarios/harness/study.js";
import { lookAt, openBrowser, WITHOUT_CHROMIUM } from "../../support/browser.js";
import { temporaryFolder } from "../../support/federation.js";
import { REPORTS } from "./pages.js";

const SIZES = /^\d+ clients$/;
const EVERY_LOOK = [
  { width: 390, theme: "light", axe: true },
  { width: 390, theme: "dark", axe: false },
  { width: 900, theme: "light", axe: false },
  { width: 900, theme: "dark", axe: true },
  { width: 1400, theme: "light", axe: true },
  { width: 1400, theme: "dark", axe: false },
] as const;
const AXE_WIDTH: Readonly<Record<string, number>> = { "3 clients": 390, "120 clients": 900 };
const FEW_LOOKS = [EVERY_LOOK[0], EVERY_LOOK[5]] as const;
const pictures = process.env.PICTURES;

describe("the report's page in a browser", { skip: WITHOUT_CHROMIUM }, () => {
  const folder = temporaryFolder();
  let browser: Browser;
  before(async () => {
    browser = await openBrowser();
  });
  after(async () => {
    await browser.close();
    folder.remove();
  });

  for (const [name, report] of Object.entries(REPORTS))
    it(`fits and can be read: ${name}`, async () => {
      const file = join(folder.path, "report.html");
      writeFileSync(file, renderReport(report(), 0));
      for (const { width, theme, axe } of SIZES.test(name) ? EVERY_LOOK : FEW_LOOKS)
        for (const unfolded of [false, true]) {
          const shown = `${width} px, ${theme}${unfolded ? ", unfolded" : ""}`;
          const picture = pictures && join(pictures, `${name}, ${shown}.png`.replaceAll(/[ ,]+/g, "-"));
          const look = {
            width,
            theme,
            unfolded,
            axe: axe && unfolded && width === (AXE_WIDTH[name] ?? width),
            picture,
          };
          assert.deepEqual(await lookAt(browser, file, look), [], shown);
        }
    });

  it("fits and can be read: a study", async () => {
    const points = Array.from({ length: 20 }, (_, k) => ({ x: 100 * (k + 1), y: 1 / (k + 1), tip: `width ${k}` }));
    const figure = (name: string) => ({
      figure: seriesPlot([{ name, points }], {
        x: "width",
        y: "error",
        logX: true,
        logY: true,
        label: "Error against width",
      }),
      caption: "Lower is better.",
    });
    const dots = scatter(points, { x: "estimated", y: "real", label: "Real against estimated", percent: false });
    await writeFindings(folder.path, {
      title: "Errors of a sketch",
      facts: [["model", "a model with a rather long name"]],
      findings: [
        {
          title: "Error against width",
          text: "The error falls with the width.",
          table: { head: ["width", "error", "seconds"], rows: points.map(({ x, y }) => [`${x}`, y.toFixed(4), "0.1"]) },
          figures: [figure("ours"), { figure: dots, caption: "On the line the estimate is exact." }],
        },
      ],
      data: {},
    });
    for (const width of [390, 1400])
      for (const theme of ["light", "dark"] as const) {
        const look = { width, theme, unfolded: false, axe: true };
        assert.deepEqual(await lookAt(browser, join(folder.path, "study.html"), look), [], `${width} px, ${theme}`);
      }
  });

  it("positive control: what does not fit is found", async () => {
    const file = join(folder.path, "broken.html");
    const page = renderReport(REPORTS["3 clients"]!(), 0);
    // A style that squeezes values to a letter per line, and a policy that still allows it.
    const squeezed =
      "td.figures { display: block; width: 8px !important; padding: 0; overflow-wrap: anywhere; white-space: normal; }";
    const broken = page
      .replace(/<meta http-equiv="Content-Security-Policy"[^>]*>/, "")
      .replace(
        "</style>",
        `${squeezed} .meta { width: 600px; color: #ddd; } .tick { font-size: 9px !important; } .labels svg { width: 20px; }</style>`,
      );
    writeFileSync(file, broken);
    const wrong = (await lookAt(browser, file, { width: 390, theme: "light", unfolded: true, axe: true })).join("\n");
    for (const kind of [
      /the page is \d+ px wide/,
      /high: <td class="figures/,
      /^9\.0 px: /m,
      /^axe color-contrast/m,
      /of one figure overlap/,
    ])
      assert.match(wrong, kind);
  });
});
