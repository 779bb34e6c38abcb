// Short tones, where the browser lets a page make any: a person must have touched it before.

const NAME = "tillgate.sound";
let context = null;

const isOn = () => localStorage.getItem(NAME) !== "off";

// The button that switches them; this browser remembers it.
export function switchedBy(button) {
  const show = () => button.setAttribute("aria-pressed", String(isOn()));
  button.addEventListener("click", () => {
    localStorage.setItem(NAME, isOn() ? "off" : "on");
    show();
    beep("yes");
  });
  show();
}

export function beep(kind) {
  if (!isOn() || !navigator.userActivation?.hasBeenActive) return;
  try {
    context ??= new AudioContext();
    const tones = kind === "yes" ? [880, 1320] : [220, 180];
    tones.forEach((frequency, index) => {
      const [tone, loudness] = [context.createOscillator(), context.createGain()];
      const at = context.currentTime + index * 0.12;
      tone.frequency.value = frequency;
      loudness.gain.setValueAtTime(0.15, at);
      loudness.gain.exponentialRampToValueAtTime(0.001, at + 0.11);
      tone.connect(loudness).connect(context.destination);
      tone.start(at);
      tone.stop(at + 0.12);
    });
  } catch {}
}
