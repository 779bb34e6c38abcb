// Hands what the phone holds out to the till, and renews the steps.

const { sandbox } = document.body.dataset;
const till = document.getElementById("till");
const steps = document.getElementById("steps");

addEventListener("message", ({ origin, source, data }) => {
  const isPhone = origin === sandbox && source === document.getElementById("phone").contentWindow;
  if (isPhone && data?.tillgate === "code")
    till.contentWindow.postMessage({ tillgate: "code", code: String(data.code) }, location.origin);
});

async function renew() {
  if (!document.hidden) {
    try {
      const answer = await fetch("/demo/steps", { cache: "no-store" });
      if (answer.ok) {
        const made = document.createElement("div");
        made.innerHTML = await answer.text(); // the server's own escaped markup
        if (made.innerHTML !== steps.innerHTML) steps.replaceChildren(...made.childNodes);
      }
    } catch {}
  }
  setTimeout(renew, 700);
}
renew();
