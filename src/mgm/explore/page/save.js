// The view as one PNG: all panels with their captions, a title, and the key of the motion's colours.

const GAP = 16;
const LINE = 22;
const SIDE = 448;

export async function saveView(panels, lines, wheel) {
  const shown = panels.filter(({ canvas }) => canvas.isConnected && canvas.width);
  const columns = Math.min(shown.length, Math.max(2, Math.ceil(shown.length / 2)));
  const rows = Math.ceil(shown.length / columns);
  const head = GAP + LINE * lines.length + GAP;
  const picture = document.createElement("canvas");
  picture.width = columns * (SIDE + GAP) + GAP;
  picture.height = head + rows * (SIDE + LINE + GAP);
  const pen = picture.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  pen.fillStyle = style.getPropertyValue("--page");
  pen.fillRect(0, 0, picture.width, picture.height);
  pen.fillStyle = style.getPropertyValue("--ink");
  pen.textBaseline = "top";
  lines.forEach((line, number) => {
    pen.font = `${number ? "" : "bold "}15px system-ui, sans-serif`;
    pen.fillText(line, GAP, GAP + number * LINE, picture.width - 2 * GAP);
  });
  shown.forEach(({ canvas, caption, motion }, number) => {
    // By columns: what belongs together is below each other, as on the page.
    const [x, y] = [GAP + Math.floor(number / rows) * (SIDE + GAP), head + (number % rows) * (SIDE + LINE + GAP)];
    pen.drawImage(canvas, x, y, SIDE, SIDE);
    pen.font = "15px system-ui, sans-serif";
    pen.fillStyle = style.getPropertyValue("--ink");
    pen.fillText(caption(), x, y + SIDE + 4, SIDE - (motion ? 40 : 0));
    if (motion) pen.drawImage(wheel, x + SIDE - 60, y + SIDE - 60, 52, 52);
  });
  const blob = await new Promise((resolve) => picture.toBlob(resolve, "image/png"));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${lines[0].replace(/[^\w.-]+/g, "_")}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
