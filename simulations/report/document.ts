/** A self-contained HTML document: head, policy, sections, data. Its policy allows no other script, style or request. */
import { createHash } from "node:crypto";
import { html, Markup, scriptJson } from "./markup.js";
import { SCRIPT } from "./script.js";
import { STYLE } from "./style.js";

export interface PageSection {
  readonly id: string;
  /** In the list of sections; undefined: not listed. */
  readonly name: string | undefined;
  readonly body: Markup;
}

/** `'sha256-...'` of a script or style, by which the page's policy allows it. */
function sourceHash(text: string): string {
  return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}

/**
 * @param top shown above the list of sections. @param data read by the script
 * @returns an HTML document, the same for the same parts
 */
export function pageOf({
  title,
  top,
  sections,
  footer,
  data,
}: {
  readonly title: string;
  readonly top: Markup;
  readonly sections: readonly PageSection[];
  readonly footer: string;
  readonly data: unknown;
}): string {
  const policy = `default-src 'none'; img-src data:; style-src ${sourceHash(STYLE)}; script-src ${sourceHash(SCRIPT)}; base-uri 'none'; form-action 'none'`;
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${new Markup(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${title}</title>
<style>${new Markup(STYLE)}</style>
</head>
<body>
<a class="skip" href="#content">To the content</a>
<header class="top">
${top}
<nav aria-label="Sections">${sections.map(({ id, name }) => name !== undefined && html`<a href="#${id}">${name}</a>`)}</nav>
</header>
<main id="content">
${sections.map(({ body }) => html`${body}\n`)}
</main>
<footer>${footer}</footer>
<div id="tip" role="status" hidden></div>
<script type="application/json" id="data">${scriptJson(data)}</script>
<script>${new Markup(SCRIPT)}</script>
</body>
</html>
`.text;
}
