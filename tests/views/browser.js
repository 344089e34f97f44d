// What a browser made of a page, measured in the page itself. Each function returns a list of
// sentences, one for each fault; an empty list is what is wanted.
(() => {
  const LEAST_CONTRAST = 4.5;
  const SMALLEST_TEXT = 8; // CSS pixels, after the scaling of a drawing

  function named(element) {
    const label = element.getAttribute("aria-label") || element.textContent || "";
    const kind = [element.localName, ...element.classList].join(".");
    return `<${kind}> "${label.trim().replace(/\s+/g, " ").slice(0, 40)}"`;
  }

  // ------------------------------------------------------------------------------- colours

  const pen = Object.assign(document.createElement("canvas"), { width: 1, height: 1 })
    .getContext("2d", { willReadFrequently: true });
  const read = new Map();

  function rgba(css) {
    if (!read.has(css)) {
      pen.clearRect(0, 0, 1, 1);
      pen.fillStyle = css;
      pen.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
      read.set(css, [r, g, b, a / 255]);
    }
    return read.get(css);
  }

  function over(front, back, alpha = front[3]) {
    return [0, 1, 2].map((i) => front[i] * alpha + back[i] * (1 - alpha)).concat(1);
  }

  function luminance(color) {
    const [r, g, b] = color.map((c) => c / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }

  function contrast(a, b) {
    const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  }

  function canvasColor() {
    const probe = document.createElement("i");
    probe.style.background = "Canvas";
    document.documentElement.append(probe);
    const color = getComputedStyle(probe).backgroundColor;
    probe.remove();
    return rgba(color);
  }

  const backgrounds = new Map();

  function background(element) {
    if (!element) return canvasColor();
    if (!backgrounds.has(element)) {
      const css = getComputedStyle(element);
      const own = rgba(css.backgroundColor);
      const known = own[3] === 1 ? own : over(own, background(element.parentElement));
      backgrounds.set(element, css.backgroundImage === "none" ? known : [...known, "image"]);
    }
    return backgrounds.get(element);
  }

  function opacity(element) {
    let product = 1;
    for (let at = element; at; at = at.parentElement) product *= getComputedStyle(at).opacity;
    return product;
  }

  // ----------------------------------------------------------------------------------- text

  function isShown(element) {
    return element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  }

  // The elements that hold text, each with a rectangle of its text.
  function textElements() {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = new Map();
    const range = document.createRange();
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const element = node.parentElement;
      if (found.has(element) || !node.data.trim() || element.closest("style,script,title,desc")) {
        continue;
      }
      range.selectNodeContents(node);
      const box = [...range.getClientRects()].find((r) => r.width > 0.5 && r.height > 0.5);
      if (box && isShown(element)) found.set(element, box);
    }
    return found;
  }

  // ---------------------------------------------------------------------- text in drawings

  const SHAPES = "rect,path,circle,ellipse,polygon,polyline,line,text";
  const drawn = new Map();

  function shapes(svg) {
    if (!drawn.has(svg)) {
      drawn.set(svg, [...svg.querySelectorAll(SHAPES)].map((shape) => {
        return { shape, css: getComputedStyle(shape), box: shape.getBoundingClientRect() };
      }));
    }
    return drawn.get(svg);
  }

  function covers({ shape, box }, x, y) {
    if (x < box.left || x > box.right || y < box.top || y > box.bottom) return false;
    if (shape.localName === "rect") return true;
    return shape.isPointInFill(new DOMPoint(x, y).matrixTransform(shape.getScreenCTM().inverse()));
  }

  // The colour under a point of a text: what is drawn before it, on the page's background.
  function under(text, svg, x, y) {
    let color = background(svg);
    for (const entry of shapes(svg)) {
      if (entry.shape === text || text.compareDocumentPosition(entry.shape) & 4) break;
      if (entry.shape.localName === "text" || entry.css.fill === "none") continue;
      if (covers(entry, x, y)) {
        const fill = rgba(entry.css.fill);
        color = over(fill, color, fill[3] * entry.css.fillOpacity * opacity(entry.shape));
      }
    }
    return color;
  }

  function drawnContrast(text, svg, box) {
    const css = getComputedStyle(text);
    const fill = rgba(css.fill);
    const middle = (box.top + box.bottom) / 2;
    return Math.min(...[0.1, 0.5, 0.9].map((share) => {
      const back = under(text, svg, box.left + share * box.width, middle);
      return contrast(over(fill, back, fill[3] * css.fillOpacity * opacity(text)), back);
    }));
  }

  function writtenContrast(element, pseudo) {
    const back = background(element);
    const front = rgba(getComputedStyle(element, pseudo).color);
    return back[4] ? 0 : contrast(over(front, back, front[3] * opacity(element)), back);
  }

  // --------------------------------------------------------------------------- the measures

  function faintText() {
    backgrounds.clear();
    drawn.clear();
    const faults = [];
    const note = (element, ratio) => {
      if (ratio < LEAST_CONTRAST - 0.005) {
        faults.push(`${named(element)} has a contrast of ${ratio.toFixed(2)}`);
      }
    };
    for (const [element, box] of textElements()) {
      const svg = element.closest("svg");
      note(element, svg ? drawnContrast(element, svg, box) : writtenContrast(element));
    }
    for (const element of document.body.querySelectorAll("*")) {
      for (const pseudo of ["::before", "::after"]) {
        const written = getComputedStyle(element, pseudo).content;
        if (/[^"\s]/.test(written.replace(/^(none|normal)$/, "")) && isShown(element)) {
          note(element, writtenContrast(element, pseudo));
        }
      }
    }
    return faults;
  }

  function scrolls(element) {
    return /auto|scroll/.test(getComputedStyle(element).overflowX);
  }

  function overflow(width) {
    const whole = document.documentElement.scrollWidth;
    if (whole <= width) return [];
    const beyond = [...document.body.querySelectorAll("*")].filter((element) => {
      for (let at = element.parentElement; at; at = at.parentElement) {
        if (scrolls(at)) return false;
      }
      const box = element.getBoundingClientRect();
      return Math.max(box.right, box.left + element.scrollWidth) > width + 0.5;
    });
    return [`the page is ${whole} px wide: ${beyond.slice(-3).map(named).join(", ")}`];
  }

  function cutText() {
    const faults = [];
    for (const element of document.body.querySelectorAll("*")) {
      const css = getComputedStyle(element);
      const hides = /hidden|clip/.test(css.overflowX) && css.textOverflow !== "ellipsis";
      if (hides && !element.closest("svg") && element.scrollWidth > element.clientWidth + 1) {
        faults.push(`${named(element)} is cut at ${element.clientWidth} px`);
      }
    }
    for (const text of document.querySelectorAll("svg text")) {
      const [own, svg] = [text, text.closest("svg")].map((e) => e.getBoundingClientRect());
      if (own.left < svg.left - 1 || own.right > svg.right + 1 || own.top < svg.top - 2 ||
          own.bottom > svg.bottom + 2) {
        if (own.width && isShown(text)) faults.push(`${named(text)} leaves its drawing`);
      }
    }
    return faults;
  }

  function smallText() {
    const faults = [];
    for (const element of textElements().keys()) {
      const svg = element.closest("svg");
      const { a, b } = svg ? element.getScreenCTM() : { a: 1, b: 0 };
      const scale = Math.hypot(a, b); // of a turned text too
      const size = parseFloat(getComputedStyle(element).fontSize) * scale;
      if (size < SMALLEST_TEXT) faults.push(`${named(element)} is ${size.toFixed(1)} px high`);
    }
    return faults;
  }

  function collidingText() {
    const faults = [];
    for (const svg of document.querySelectorAll("svg")) {
      // The rectangles of turned texts overlap where the texts do not.
      const boxes = [...svg.querySelectorAll("text")]
        .filter((text) => text.textContent && isShown(text) && text.getScreenCTM().b === 0)
        .map((text) => ({ text, box: text.getBoundingClientRect() }))
        .sort((a, b) => a.box.top - b.box.top);
      boxes.forEach((one, i) => {
        for (let j = i + 1; j < boxes.length && boxes[j].box.top < one.box.bottom; j++) {
          const [a, b] = [one.box, boxes[j].box];
          const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
          const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
          if (wide > 1 && high > 0.3 * Math.min(a.height, b.height)) {
            faults.push(`${named(one.text)} and ${named(boxes[j].text)} overlap`);
          }
        }
      });
    }
    return faults;
  }

  function unreachableRegions() {
    return [...document.body.querySelectorAll("*")].filter((element) => {
      const needs = element.classList.contains("wide") ||
        (scrolls(element) && element.scrollWidth > element.clientWidth + 1);
      const label = element.getAttribute("aria-label") || element.getAttribute("aria-labelledby");
      return needs && isShown(element) &&
        !(element.tabIndex === 0 && element.getAttribute("role") === "region" && label);
    }).map((element) => `${named(element)} scrolls and is no labelled region of the keyboard's`);
  }

  // What text of a document may never become; `made` is the class in tests/views/view_catalogue.py.
  function madeFromText() {
    const active = "script:not([data-own]),img,iframe,object,embed,link,form,input,.made";
    const faults = [...document.body.querySelectorAll(active)].map((e) => `made ${named(e)}`);
    for (const element of document.querySelectorAll("*")) {
      for (const { name } of element.attributes) {
        if (name.startsWith("on")) faults.push(`${named(element)} has ${name}`);
      }
    }
    if ("attacked" in window) faults.push("a script from a document ran");
    return faults;
  }

  function openAll() {
    for (const details of document.querySelectorAll("details")) details.open = true;
  }

  // ------------------------------------------------------------------------------ keyboard

  function stops() {
    const all = "a[href],summary,button,input,select,textarea,[tabindex]";
    return [...document.querySelectorAll(all)].filter((e) => e.tabIndex >= 0 && isShown(e));
  }

  const visited = new Set();

  // The element that has the focus, and what is wrong with how it shows; null past the last one.
  function focused() {
    const element = document.activeElement;
    if (!element || element === document.body || visited.has(element)) return null;
    visited.add(element);
    const css = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    const outlined = css.outlineStyle !== "none" && parseFloat(css.outlineWidth) >= 1;
    const inside = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
    if (!outlined && css.boxShadow === "none") return `${named(element)}: its focus does not show`;
    if (!inside || box.width < 2) return `${named(element)}: outside the window when focused`;
    return "";
  }

  function notVisited() {
    return stops().filter((element) => !visited.has(element))
      .map((element) => `${named(element)} is not reached by Tab`);
  }

  function legibility(width) {
    return {
      overflow: overflow(width), faintText: faintText(), cutText: cutText(),
      smallText: smallText(), collidingText: collidingText(),
    };
  }

  window.measures = {
    legibility, unreachableRegions, madeFromText, openAll, focused, notVisited,
  };
})();
