// How loud both sides are, measured in the audio itself.

const LOUD = { bot: 0.01, you: 0.02 };
const QUIET_AFTER_MS = 250;
const EVERY_MS = 20;

export class Meter {
  constructor(bot, microphone, report) {
    this.context = new AudioContext();
    this.context.resume().catch(() => {});
    const measured = { bot: this.measure(bot), you: this.measure(microphone) };
    const loudAt = { bot: -Infinity, you: -Infinity };
    this.timer = setInterval(() => {
      const now = performance.now();
      const levels = { bot: measured.bot(), you: measured.you() };
      for (const who of ["bot", "you"]) if (levels[who] > LOUD[who]) loudAt[who] = now;
      report({ ...levels, botSpeaks: now - loudAt.bot < QUIET_AFTER_MS, youSpeak: now - loudAt.you < QUIET_AFTER_MS });
    }, EVERY_MS);
  }

  measure(stream) {
    const analyser = new AnalyserNode(this.context, { fftSize: 1024 });
    this.context.createMediaStreamSource(stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    return () => {
      analyser.getFloatTimeDomainData(samples);
      return Math.sqrt(samples.reduce((sum, one) => sum + one * one, 0) / samples.length);
    };
  }

  close() {
    clearInterval(this.timer);
    this.context.close().catch(() => {});
  }
}
