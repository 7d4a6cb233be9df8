/** Finds texts of a page that are hard to read: their contrast is below what WCAG 2.2 AA asks for. */
import type { Page } from 'playwright-core';

/** Runs in the page. A text has the colour behind it of the first element around it that is not transparent. */
const FIND = `(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const colours = new Map();
  const rgba = (text) => {
    if (!colours.has(text)) colours.set(text, drawn(text));
    return colours.get(text);
  };
  const drawn = (text) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], [x, y, z]) => [r * a + x * (1 - a), g * a + y * (1 - a), b * a + z * (1 - a), 1];
  const light = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((part) => {
      const c = part / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const layers = [];
    for (let each = element; each !== null; each = each.parentElement) {
      const inner = each.matches('.node') ? getComputedStyle(each.querySelector('rect:not(.behind)')).fill : undefined;
      const layer = rgba(inner ?? getComputedStyle(each).backgroundColor);
      layers.push(layer);
      if (layer[3] === 1) break;
    }
    return layers.reduceRight((below, layer) => over(layer, below), [255, 255, 255, 1]);
  };
  const opacity = (element) => {
    let product = 1;
    for (let each = element; each !== null; each = each.parentElement) product *= Number(getComputedStyle(each).opacity);
    return product;
  };
  const found = new Map();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const { parentElement: element, nodeValue } = walker.currentNode;
    if (nodeValue.trim() === '' || element === null || element.closest('title, script, option, :disabled')) continue;
    if (!element.checkVisibility({ checkOpacity: true })) continue;
    const style = getComputedStyle(element);
    const ground = behind(element);
    const own = rgba(element instanceof SVGElement ? style.fill : style.color);
    const seen = over([own[0], own[1], own[2], own[3] * opacity(element)], ground);
    const [high, low] = [light(seen), light(ground)].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (low + 0.05);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (isLarge ? 3 : 4.5))
      found.set(element.className.toString() + style.color, nodeValue.trim().slice(0, 40) + ': ' + ratio.toFixed(2));
  }
  return [...found.values()];
})()`;

/** Stops animations first, because they change the opacity of texts. */
export async function hardToRead(page: Page): Promise<readonly string[]> {
  return page.evaluate<string[]>(FIND);
}
