// Reads codes with the camera: with the browser's own reader where it has one.

const FORMATS = ["qr_code", "code_128"];

// Resolves to the text of the first code that is seen; rejects where there is no camera or reader.
export async function scan(video, signal) {
  if (!("BarcodeDetector" in globalThis)) throw new Error("BarcodeDetector");
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  try {
    video.srcObject = stream;
    await video.play();
    const reader = new BarcodeDetector({ formats: FORMATS });
    while (!signal.aborted) {
      const [found] = await reader.detect(video);
      if (found) return found.rawValue;
      await new Promise((resolve) => setTimeout(resolve, 120));
    }
    throw new DOMException("stopped", "AbortError");
  } finally {
    stream.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
  }
}
