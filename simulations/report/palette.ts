/**
 * Colours of groups: eight per theme, found by a search for the largest distance in OKLab between any two, as seen with normal vision
 * and with protanopia and deuteranopia (Machado et al. 2009); each has a contrast of at least 3 to the page. Nothing else on a page has
 * a colour, except what went wrong.
 */
export const GROUP_PALETTE: { readonly light: readonly string[]; readonly dark: readonly string[] } = {
  light: ["#484dbb", "#db640e", "#086a72", "#9d6fe3", "#740529", "#4f9c8e", "#894c06", "#5a0b7b"],
  dark: ["#7885f8", "#c79512", "#34c8fd", "#954e9c", "#d6809c", "#20f4bb", "#bc3d17", "#dcd838"],
};

/** Backgrounds that figures stand on. */
export const CARD = { light: "#ffffff", dark: "#191918" } as const;
