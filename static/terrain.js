/* What a page gains when scripts run; without them every page still works. Nothing here decides or stores anything. */
(() => {
  "use strict";

  /* A table of three columns or more becomes cards on a phone: each cell carries the words of its column's head. */
  const label = (root) => {
    for (const table of root.querySelectorAll(".table-box > .table, .table-wrap > .table")) {
      const heads = [...(table.tHead?.rows[0]?.cells ?? [])].map((head) => head.textContent.trim());
      if (heads.length < 3 || table.dataset.stacks === "no") continue;
      table.classList.add("table-stacks");
      for (const body of table.tBodies) {
        for (const row of body.rows) {
          let column = 0;
          for (const cell of row.cells) {
            if (cell.tagName === "TD" && cell.colSpan === 1) cell.dataset.label = heads[column] ?? "";
            if (!cell.textContent.trim() && !cell.firstElementChild) cell.classList.add("is-empty");
            column += cell.colSpan;
          }
        }
      }
    }
  };

  /* One tap to copy: <button data-copy="text" data-copied="Copied">, or data-copy-from="id" of an element. */
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("[data-copy], [data-copy-from]");
    if (!button) return;
    try {
      const there = document.getElementById(button.dataset.copyFrom ?? "");
      await navigator.clipboard.writeText(there ? there.textContent.trim() : button.dataset.copy);
    } catch {
      return; // the text beside the button can still be selected
    }
    const word = button.firstChild; // the rest of the button says what is copied
    const before = (button.dataset.before ??= word.textContent);
    word.textContent = button.dataset.copied;
    button.classList.add("is-done");
    setTimeout(() => {
      word.textContent = before;
      button.classList.remove("is-done");
    }, 1600);
  });

  /* Narrowing a list while typing: <input data-filter="selector of the lines">, groups marked data-group. */
  const plain = (text) => text.normalize("NFD").replace(/\p{Diacritic}/gu, "").toLowerCase();
  const narrow = (input) => {
    const wanted = plain(input.value.trim());
    let shown = 0;
    for (const line of document.querySelectorAll(input.dataset.filter)) {
      line.hidden = wanted !== "" && !plain(line.textContent).includes(wanted);
      shown += line.hidden ? 0 : 1;
    }
    for (const group of document.querySelectorAll("[data-group]")) {
      group.hidden = !group.querySelector(`:is(${input.dataset.filter}):not([hidden])`);
    }
    const none = document.getElementById(input.dataset.none ?? "");
    if (none) none.hidden = shown > 0;
  };
  document.addEventListener("input", (event) => {
    if (event.target.dataset?.filter) narrow(event.target);
  });

  const again = (root) => {
    label(root);
    document.querySelectorAll("[data-filter]").forEach(narrow);
  };
  document.addEventListener("DOMContentLoaded", () => {
    again(document);
    document.querySelector(".errors[tabindex]")?.focus();
  });
  document.addEventListener("htmx:afterSettle", (event) => again(event.target.parentElement ?? document));
})();
