// Looks at the page as it is drawn, and writes what is wrong with it into the page: a line each.
// Plots: drawn, not empty, with their texts inside. All texts: readable on what is behind them (WCAG 2, 4.5 to 1). The
// page: not wider than the window.
(() => {
  const problems = new Set();
  const numbers = (colour) => colour.match(/[\d.]+/g).map(Number);
  const luminance = (colour) => {
    const [red, green, blue] = numbers(colour).map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const contrast = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const isClear = (colour) => colour === "none" || (numbers(colour)[3] ?? 1) === 0;
  // The colour behind a point: of the nearest thing that has one.
  const behind = (x, y) => {
    for (const element of document.elementsFromPoint(x, y)) {
      const style = getComputedStyle(element);
      const colour = element.tagName === "rect" ? style.fill : style.backgroundColor;
      if ((element.tagName === "rect" || !element.ownerSVGElement) && !isClear(colour)) return colour;
    }
    return getComputedStyle(document.body).backgroundColor;
  };
  document.querySelectorAll("details").forEach((details) => (details.open = true));

  const plots = document.querySelectorAll("svg");
  for (const plot of plots) {
    const name = plot.querySelector("title")?.textContent ?? "a plot without a title";
    const box = plot.getBoundingClientRect();
    if (box.width < 100 || box.height < 30) problems.add(`${name} is ${box.width} by ${box.height}`);
    if (!plot.querySelector("path, line, rect, polygon")) problems.add(`${name} is empty`);
    for (const text of plot.querySelectorAll("text")) {
      const at = text.getBoundingClientRect();
      const outside = at.left < box.left - 1 || at.right > box.right + 1 || at.top < box.top - 1 || at.bottom > box.bottom + 1;
      if (outside) problems.add(`'${text.textContent}' is outside of ${name}`);
    }
  }

  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const holder = node.parentElement;
    const words = node.textContent.trim();
    if (!words || holder.closest("script, style, title, desc")) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const at = range.getBoundingClientRect();
    const [x, y] = [at.left + at.width / 2, at.top + at.height / 2];
    // What has to be scrolled to is behind nothing yet.
    if (x < 0 || y < 0 || x >= innerWidth || y >= innerHeight) continue;
    const style = getComputedStyle(holder);
    const found = contrast(holder.ownerSVGElement ? style.fill : style.color, behind(x, y));
    if (found < 4.5) problems.add(`contrast of '${words.slice(0, 40)}' is ${found.toFixed(2)}`);
  }

  if (document.documentElement.scrollWidth > innerWidth) {
    problems.add(`the page is ${document.documentElement.scrollWidth} wide, wider than the window (${innerWidth})`);
  }
  const scheme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const found = document.createElement("pre");
  found.id = "found";
  found.textContent = [`scheme: ${scheme}`, ...problems, `plots: ${plots.length}`].join("\n");
  document.body.append(found);
})();
