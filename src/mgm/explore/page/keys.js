// The keyboard: a long list is one stop of the tab key. Up and down, home and end move inside it.

export function oneStop(list) {
  const buttons = () => [...list.querySelectorAll("button")];
  const enter = (button) => {
    for (const other of buttons()) other.tabIndex = other === button ? 0 : -1;
  };
  list.addEventListener("focusin", (event) => enter(event.target));
  list.addEventListener("keydown", (event) => {
    const all = buttons();
    const now = all.indexOf(document.activeElement);
    const next = { ArrowUp: now - 1, ArrowDown: now + 1, Home: 0, End: all.length - 1 }[event.key];
    if (now < 0 || next === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    all[next]?.focus();
  });
  // After a change of the list: it is entered at the chosen button, or at the first one.
  return () => enter(list.querySelector("button[aria-pressed=true]") ?? list.querySelector("button"));
}

// A picture of tokens in which the arrow keys move a place. `place()` is [step, row, column]; `move` gets the new one.
export function arrowsMove(canvas, place, grid, move) {
  canvas.tabIndex = 0;
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step || event.shiftKey || event.ctrlKey || event.metaKey || event.altKey) return;
    const [, rows, columns] = grid();
    const [time, row, column] = place();
    event.preventDefault();
    event.stopPropagation(); // else the frame changes, too
    const inside = (value, count) => Math.min(count - 1, Math.max(0, value));
    move([time, inside(row + step[0], rows), inside(column + step[1], columns)]);
  });
}
