// Reads codes with the camera: by the browser's own reader where it has one for both kinds, else by
// ZXing, which is loaded only then.

const WIDTH_MAX = 1280; // enough for 24 digits in Code 128 over half the picture
const PAUSE_MS = 80;

// Resolves to the text of the first code that is seen; rejects where there is no camera, or it may
// not be used. The camera is let go in any case.
export async function scan(video, signal) {
  if (!navigator.mediaDevices) throw new Error("https");
  const wanted = { facingMode: "environment", width: { ideal: WIDTH_MAX } };
  const stream = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
  try {
    const read = await reader();
    if (signal.aborted) throw new DOMException("stopped", "AbortError");
    video.srcObject = stream;
    await video.play();
    while (!signal.aborted) {
      const text = video.videoWidth ? await read(video) : null;
      if (text) return text;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    throw new DOMException("stopped", "AbortError");
  } finally {
    stream.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
  }
}

async function reader() {
  const formats = ["qr_code", "code_128"];
  const own = (await globalThis.BarcodeDetector?.getSupportedFormats?.()) ?? [];
  if (formats.every((each) => own.includes(each))) {
    const detector = new BarcodeDetector({ formats });
    return async (video) => (await detector.detect(video))[0]?.rawValue;
  }
  const { prepareZXingModule, readBarcodes } = await import("../vendor/zxing-wasm/es/reader/index.js");
  const wasm = new URL("../vendor/zxing-wasm/zxing_reader.wasm", import.meta.url).href;
  await prepareZXingModule({ overrides: { locateFile: () => wasm }, fireImmediately: true });
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  return async (video) => {
    const scale = Math.min(1, WIDTH_MAX / video.videoWidth);
    [canvas.width, canvas.height] = [video.videoWidth * scale, video.videoHeight * scale];
    context.drawImage(video, 0, 0, canvas.width, canvas.height);
    const picture = context.getImageData(0, 0, canvas.width, canvas.height);
    const found = await readBarcodes(picture, { formats: ["QRCode", "Code128"], maxNumberOfSymbols: 1 });
    return found[0]?.text;
  };
}
