/** Pages in headless Chromium, Debian's: whether what they show fits, can be read, and serves readers with assistive technology. */
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { pathToFileURL } from "node:url";
import { AxeBuilder } from "@axe-core/playwright";
import { type Browser, chromium, type Page } from "playwright-core";

/** Path of the browser; undefined where there is none. */
export const CHROMIUM = [...new Set(["/usr/bin", ...(process.env.PATH ?? "").split(delimiter)])]
  .flatMap((folder) => ["chromium", "chromium-browser"].map((name) => join(folder, name)))
  .find((path) => existsSync(path));

/** For `skip` of a test: false, or the reason. */
export const WITHOUT_CHROMIUM = CHROMIUM === undefined && "no chromium here (Debian: apt-get install chromium)";

// A sandbox of its own needs rights that a container's root has not; the pages are this project's.
export const openBrowser = (): Promise<Browser> =>
  chromium.launch({ ...(CHROMIUM !== undefined && { executablePath: CHROMIUM }), args: ["--no-sandbox"] });

export interface Look {
  /** Pixels. */
  readonly width: number;
  readonly theme: "light" | "dark";
  /** Whether everything folded is opened. */
  readonly unfolded: boolean;
  /** Whether axe-core looks too, which takes seconds. */
  readonly axe: boolean;
  /** Writes a picture of the whole page there. */
  readonly picture?: string | undefined;
}

/** Opens a page and looks at it. @returns what is wrong, a line each */
export async function lookAt(browser: Browser, file: string, look: Look): Promise<string[]> {
  const { width, theme, unfolded, axe, picture } = look;
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme: theme });
  try {
    const page = await context.newPage();
    const wrong: string[] = [];
    page.on("pageerror", (error) => wrong.push(`script: ${error.message}`));
    page.on("console", (message) => message.type() === "error" && wrong.push(`console: ${message.text()}`));
    page.on("request", (request) => request.url().startsWith("http") && wrong.push(`request: ${request.url()}`));
    await page.goto(pathToFileURL(file).href);
    if (unfolded) await page.evaluate(UNFOLD);
    if (picture !== undefined) await page.screenshot({ path: picture, fullPage: true });
    wrong.push(...(await page.evaluate<string[]>(MISFITS)));
    if (axe) wrong.push(...(await violations(page)));
    return wrong;
  } finally {
    await context.close();
  }
}

async function violations(page: Page): Promise<string[]> {
  const { violations: found } = await new AxeBuilder({ page }).analyze();
  return found.map(({ id, help, nodes }) => `axe ${id}: ${help}: ${nodes[0]?.html.slice(0, 200)} (${nodes.length})`);
}

/** Scripts that run in the page, as texts: the types of its objects are not known on this side. */
const UNFOLD = `for (const details of document.querySelectorAll("details")) details.open = true;`;

/** Finds sideways scroll, text that leaves its place, text boxes taller than eight times their width, labels below 11 px or upon another. */
const MISFITS = `(() => {
  const SLACK = 1.5; // pixels: fractions, and glyphs that lean
  const PLACES = "td, th, dt, dd, section, .card, .cards > *, .panels > *, header, main, footer";
  const wrong = new Set();
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) wrong.add("the page is " + root.scrollWidth + " px wide, of " + root.clientWidth);
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    const parent = node.parentElement;
    const text = node.textContent.trim();
    if (text === "" || parent.closest("script, style, .skip, .hidden") !== null) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    if (box.width === 0 || !parent.checkVisibility({ visibilityProperty: true })) continue; // folded or hidden
    const where = "<" + parent.tagName.toLowerCase() + ' class="' + (parent.getAttribute("class") ?? "") + '"> ' + text.slice(0, 60);
    const scale = parent instanceof SVGGraphicsElement ? parent.getScreenCTM().a : 1;
    const size = Number.parseFloat(getComputedStyle(parent).fontSize) * scale;
    if (size < 11) wrong.add(size.toFixed(1) + " px: " + where);
    if (text.length > 2 && box.height > 8 * box.width)
      wrong.add(box.width.toFixed(0) + " px wide, " + box.height.toFixed(0) + " high: " + where);
    // Where an ancestor cuts or scrolls its content, the text's place is that ancestor's concern.
    for (let of = parent; of !== null && of !== document.body; of = of.parentElement) {
      if (of instanceof HTMLElement && getComputedStyle(of).overflowX !== "visible") break;
      if (!of.matches(PLACES)) continue;
      const place = of.getBoundingClientRect();
      const beyond = Math.max(place.left - box.left, box.right - place.right);
      if (beyond > SLACK) wrong.add("leaves its <" + of.tagName.toLowerCase() + "> by " + beyond.toFixed(0) + " px: " + where);
    }
  }
  for (const figure of document.querySelectorAll("svg")) {
    const labels = [...figure.querySelectorAll(":scope > text")].map((label) => [label, label.getBoundingClientRect()]);
    const shown = labels.filter(([, box]) => box.width > 0);
    shown.forEach(([label, a], k) => {
      for (const [other, b] of shown.slice(k + 1))
        if (a.left < b.right && b.left < a.right && a.top + 3 < b.bottom && b.top + 3 < a.bottom)
          wrong.add("labels " + label.textContent + " and " + other.textContent + " of one figure overlap");
    });
  }
  return [...wrong];
})()`;
