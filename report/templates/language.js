// Only a convenience: the switch itself is style alone. Start in the language chosen last, or in
// the reader's own; a browser may refuse to remember.
const choices = {en: document.getElementById("show-en"), zh: document.getElementById("show-zh")};
function show(language) {
  choices[language].checked = true;
  document.documentElement.lang = language;
}
function remembered() {
  try { return localStorage.getItem("language"); } catch { return null; }
}
function choose(language) {
  show(language);
  try { localStorage.setItem("language", language); } catch { return; }
}
for (const language of Object.keys(choices)) {
  choices[language].addEventListener("change", () => choose(language));
}
const first = remembered() ?? navigator.language;
show(first.startsWith("zh") ? "zh" : "en");
