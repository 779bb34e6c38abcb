// Finding and making elements. Text is only ever text: nothing here reads markup.

/** The page's parts, by what they are: `part("balance")`. */
export function part(name) {
  return document.querySelector(`[data-is="${name}"]`);
}

/** An element with a class and with children: elements, or texts. */
export function make(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children.filter((child) => child !== null && child !== ""));
  return made;
}

/** Says a text, unless it stands there already: what is not changed is not read out again. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
