/**
 * What the tests ask of the page, run inside it. Plain JavaScript: the compiler's own additions to a function are not known
 * in the page. Loaded before the page's script; `globalThis.probes` is what tests call.
 */

const probes = {
  focused: () => document.activeElement?.id || document.activeElement?.className,

  isOutlined: () => getComputedStyle(/** @type {Element} */ (document.activeElement)).outlineStyle !== 'none',

  inkColour: () => getComputedStyle(document.body).color,

  /** What hostile data could have made. */
  made: () => ({
    owned: 'owned' in globalThis,
    elements: document.querySelectorAll('img, iframe, object, a[href]:not(.skip), [onerror], [style*="url"]')
      .length,
    scripts: document.querySelectorAll('script:not([type])').length,
  }),

  /** Pixels by which the page is wider than the window. */
  excessWidth: () => document.documentElement.scrollWidth - innerWidth,

  /** The colours of text that do not stand out from a background by 4.5 to 1, as WCAG 2.2 AA asks. */
  weakContrasts() {
    const style = getComputedStyle(document.documentElement);
    const luminance = (/** @type {string} */ name) => {
      const hex = style.getPropertyValue(name).trim();
      const [red = 0, green = 0, blue = 0] = [1, 3, 5]
        .map((at) => Number.parseInt(hex.slice(at, at + 2), 16) / 255)
        .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const inks = [
      'ink',
      'quiet',
      'insert',
      'different',
      'softDeleted',
      'stale',
      'refused',
      'conflict',
      'focus',
    ];
    return inks.flatMap((ink) =>
      ['paper', 'card', 'hover'].flatMap((ground) => {
        const both = [luminance(`--${ink}`), luminance(`--${ground}`)];
        const contrast = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
        return contrast < 4.5 ? [`${ink} on ${ground}: ${contrast.toFixed(2)}`] : [];
      }),
    );
  },

  /**
   * Milliseconds until the result of a search is drawn.
   * @param {string} text
   */
  async timedSearch(text) {
    const search = /** @type {HTMLInputElement} */ (document.getElementById('search'));
    const start = performance.now();
    search.value = text;
    search.dispatchEvent(new Event('input'));
    await probes.frame();
    return performance.now() - start;
  },

  /** The longest that a frame took, in milliseconds, while the list moved 50,000 rows down. */
  async scrollThrough() {
    const grid = /** @type {HTMLElement} */ (document.getElementById('grid'));
    let slowest = 0;
    for (let step = 0; step < 60; step++) {
      const start = performance.now();
      grid.scrollTop += 28_000;
      await probes.frame();
      slowest = Math.max(slowest, performance.now() - start);
    }
    return slowest;
  },

  frame: () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve))),
};

Object.assign(globalThis, { probes });
