/** One quick look at the report's page in a browser. The others are in browser.long.test.ts. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Browser } from "playwright-core";
import { renderReport } from "../../../simulations/report/html.js";
import { lookAt, openBrowser, WITHOUT_CHROMIUM } from "../../support/browser.js";
import { temporaryFolder } from "../../support/federation.js";
import { REPORTS } from "./pages.js";

const folder = temporaryFolder();
let browser: Browser | undefined;
after(async () => {
  await browser?.close();
  folder.remove();
});

test("the page of three clients fits a phone, and a broken one does not", { skip: WITHOUT_CHROMIUM }, async () => {
  browser = await openBrowser();
  const page = renderReport(REPORTS["3 clients"]!(), 0);
  const file = join(folder.path, "report.html");
  writeFileSync(file, page);
  const look = { width: 390, theme: "light", unfolded: true, axe: true } as const;
  assert.deepEqual(await lookAt(browser, file, look), []);
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
  const wrong = (await lookAt(browser, file, look)).join("\n");
  for (const kind of [
    /the page is \d+ px wide/,
    /high: <td class="figures/,
    /^9\.0 px: /m,
    /^axe color-contrast/m,
    /of one figure overlap/,
  ])
    assert.match(wrong, kind);
});
