// The page's texts come from the agent's catalogue; nothing is written here.

const KEPT = "campus-agent-language";

export const words = { language: "", languages: {}, page: {}, faults: {}, kinds: {} };

export async function loadWords(language) {
  let wanted = language;
  if (!wanted) {
    try { wanted = localStorage.getItem(KEPT) ?? ""; } catch { wanted = ""; }
  }
  const answer = await fetch(`/api/texts?lang=${encodeURIComponent(wanted)}`);
  if (!answer.ok) throw new Error(`texts: ${answer.status}`);
  Object.assign(words, await answer.json());
  if (language) {
    try { localStorage.setItem(KEPT, language); } catch { /* a private window keeps nothing */ }
  }
  document.documentElement.lang = words.language;
  for (const one of document.querySelectorAll("[data-say]")) one.textContent = say(one.dataset.say);
  for (const one of document.querySelectorAll("[data-label]")) {
    one.setAttribute("aria-label", say(one.dataset.label));
    one.title = say(one.dataset.label);
  }
  for (const one of document.querySelectorAll("[data-placeholder]")) {
    one.placeholder = say(one.dataset.placeholder);
    one.setAttribute("aria-label", one.placeholder);
  }
}

export function say(key, fields = {}) {
  return (words.page[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => fields[name] ?? whole);
}

export function said(text) {
  return text ? text[words.language] ?? text.en ?? "" : "";
}

export function clock(iso) {
  const when = new Date(iso);
  const today = new Date().toDateString() === when.toDateString();
  const time = { hour: "2-digit", minute: "2-digit", hour12: false };
  return when.toLocaleString(words.language, today ? time : { month: "2-digit", day: "2-digit", ...time });
}
